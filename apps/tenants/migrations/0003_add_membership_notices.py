"""How a member wants to be told; and stop links, which are signed, have no key in the route table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0002_add_acknowledgement")]

    operations = [
        migrations.AddField(
            model_name="membership",
            name="notices",
            field=models.JSONField(
                blank=True, default=dict, help_text="apps.notifications.choices: how the person wants to be told."
            ),
        ),
        migrations.AlterField(
            model_name="routekey",
            name="kind",
            field=models.CharField(
                choices=[
                    ("webhook", "webhook path"),
                    ("stripe_customer", "Stripe customer"),
                    ("api_key", "API key"),
                    ("invitation", "invitation"),
                    ("egress", "egress address"),
                ],
                max_length=24,
            ),
        ),
    ]
