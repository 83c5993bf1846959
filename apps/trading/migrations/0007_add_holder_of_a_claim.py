"""A claim names its holder: a dead one is not waited for until its lease ends."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("trading", "0006_add_freeze_of_a_refused_order"),
    ]

    operations = [
        migrations.AddField(
            model_name="orderintent",
            name="claimed_by",
            field=models.CharField(
                db_default="", help_text="host:pid:start of the process it is leased to.", max_length=120
            ),
        ),
    ]
