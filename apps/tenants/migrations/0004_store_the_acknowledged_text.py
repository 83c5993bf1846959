"""Keep the very words that somebody agreed to, with the numbers that stood in them."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0003_add_membership_notices"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="acknowledgement",
            name="acknowledgement_once",
        ),
        migrations.AddField(
            model_name="acknowledgement",
            name="text",
            field=models.TextField(default="", help_text="What was shown, with the numbers that stood in it."),
        ),
        migrations.AddField(
            model_name="acknowledgement",
            name="text_hash",
            field=models.CharField(default="", help_text="SHA-256 of the text, hexadecimal.", max_length=64),
        ),
        migrations.AddConstraint(
            model_name="acknowledgement",
            constraint=models.UniqueConstraint(
                fields=("tenant", "user", "text_key", "version", "text_hash"), name="acknowledgement_once"
            ),
        ),
    ]
