"""Whether a bot starts and pauses by the calendar of its market; nobody's does until its owner says so."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("trading", "0012_index_unproven_attempts"), ("common", "0006_add_hours_work")]

    operations = [
        migrations.AddField(
            model_name="bot",
            name="keeps_hours",
            field=models.BooleanField(
                db_default=False, default=False, help_text="Whether it starts and pauses by the calendar of its market."
            ),
        ),
    ]
