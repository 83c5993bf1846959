"""A refused order that the book shows at work freezes its instrument."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0005_add_platform_stop_protocol"),
    ]

    operations = [
        migrations.AlterField(
            model_name="entryfreeze",
            name="reason",
            field=models.CharField(
                choices=[
                    ("UNKNOWN_ORDER", "An order's outcome is unknown"),
                    ("DEAD_ORDER_SEEN", "An order believed absent turned up"),
                    ("REFUSED_ORDER_SEEN", "An order that was refused is at work"),
                    ("POSITION_DIFFERS", "The broker holds another quantity"),
                    ("OUTSIDE_ORDER", "An order of unknown origin carries our mark"),
                    ("CORPORATE_ACTION", "A corporate action is being checked"),
                ],
                max_length=20,
            ),
        ),
    ]
