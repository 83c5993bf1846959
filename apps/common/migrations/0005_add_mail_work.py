"""A mail is due work like an order: a queue that is lost loses none."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("common", "0004_add_platform_audit")]

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
                ],
                max_length=16,
            ),
        ),
    ]
