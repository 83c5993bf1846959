"""What an account was worth, minute by minute at first and day by day in the end."""

from decimal import Decimal

import django.db.models.deletion
from django.db import migrations, models

import apps.common.db
import apps.common.ids
from apps.common.operations import SecureTenantTable


class Migration(migrations.Migration):
    dependencies = [
        ("brokers", "0002_add_connection_test"),
        ("tenants", "0002_add_acknowledgement"),
        ("trading", "0007_add_holder_of_a_claim"),
    ]

    operations = [
        migrations.CreateModel(
            name="EquityPoint",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("at", models.DateTimeField(help_text="Business time.")),
                (
                    "cash",
                    models.DecimalField(decimal_places=4, help_text="Deployable rupees by the broker.", max_digits=18),
                ),
                (
                    "positions_value",
                    models.DecimalField(
                        decimal_places=4, help_text="The bots' open lots at their last prices.", max_digits=18
                    ),
                ),
                (
                    "realized_pnl",
                    models.DecimalField(
                        decimal_places=4,
                        help_text="Of all lots so far, after the charges of the shares sold.",
                        max_digits=18,
                    ),
                ),
                (
                    "unrealized_pnl",
                    models.DecimalField(
                        decimal_places=4, help_text="Of the open lots, after the charges of buying them.", max_digits=18
                    ),
                ),
                (
                    "brought_pnl",
                    models.DecimalField(
                        decimal_places=4,
                        default=Decimal("0"),
                        help_text="What adopted shares had gained before they came: no gain here.",
                        max_digits=18,
                    ),
                ),
                ("charges", models.DecimalField(decimal_places=4, help_text="Of all fills so far.", max_digits=18)),
                ("bots", models.JSONField(default=dict, help_text="Gain or loss so far by bot id, as text.")),
                (
                    "connection",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="equity_points",
                        to="brokers.brokerconnection",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["tenant", "connection", "-at"], name="equity_newest")],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "connection", "at"), name="equity_point_once")
                ],
            },
        ),
        SecureTenantTable("EquityPoint"),
    ]
