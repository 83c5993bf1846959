"""The venue remembers when a session ended, so that what was made in it stays outside of the next one."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("sandbox", "0001_add_venue_tables"),
    ]

    operations = [
        migrations.AddField(
            model_name="account",
            name="logged_out_ns",
            field=models.BigIntegerField(
                db_default=0, help_text="Wall clock of the last logout; a write that was made before it is refused."
            ),
        ),
    ]
