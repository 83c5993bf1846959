"""A start or pause by the calendar is due work: a worker that was away makes up for it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("common", "0005_add_mail_work")]

    operations = [
        migrations.AlterField(
            model_name="workitem",
            name="kind",
            field=models.CharField(
                choices=[
                    ("cycle", "trading cycle of a bot"),
                    ("order", "an order intent that is not settled"),
                    ("stop", "a stop that is draining"),
                    ("reconcile", "comparison of a connection with its broker"),
                    ("platform", "an account that stops above the tenants find"),
                    ("mail", "a mail that has not left"),
                    ("hours", "a bot that starts and pauses by the calendar"),
                ],
                max_length=16,
            ),
        ),
    ]
