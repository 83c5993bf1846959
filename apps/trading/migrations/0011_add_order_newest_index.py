"""The list of a tenant's orders by time, across its connections."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("trading", "0010_add_feed_of_a_price_level")]

    operations = [
        migrations.AddIndex(
            model_name="orderintent",
            index=models.Index(fields=["tenant", "-created_at", "-id"], name="order_newest"),
        ),
    ]
