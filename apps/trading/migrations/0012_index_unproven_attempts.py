"""A drain looks for attempts that may still hand their bytes over; almost none of all that ever were."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("tenants", "0004_store_the_acknowledged_text"),
        ("trading", "0011_add_order_newest_index"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="orderattempt",
            index=models.Index(
                condition=models.Q(("closed_at", None), ("sent_at", None)), fields=["tenant"], name="attempt_unproven"
            ),
        ),
    ]
