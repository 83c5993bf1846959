"""Stop orders at the broker, and orders found again after a restore."""

import django.db.models.deletion
from django.db import migrations, models

import apps.common.db
import apps.common.ids
import apps.trading.models
from apps.common.operations import SecureTenantTable


class Migration(migrations.Migration):
    dependencies = [
        ("brokers", "0001_add_broker_connection"),
        ("market", "0002_add_instrument_charge_class"),
        ("tenants", "0002_add_acknowledgement"),
        ("trading", "0003_add_instrument_overrides"),
    ]

    operations = [
        migrations.CreateModel(
            name="ProtectiveOrder",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "broker_ref",
                    models.CharField(
                        blank=True, help_text="The broker's order id, or the trigger's id.", max_length=64
                    ),
                ),
                ("day", models.DateField(help_text="Trading date for which it was placed.")),
                (
                    "expires_at",
                    models.DateTimeField(
                        help_text="Business time at which the broker ends it; empty: never.", null=True
                    ),
                ),
                (
                    "trigger_price",
                    models.DecimalField(
                        decimal_places=4, help_text="Rupees per share, as the broker last showed it.", max_digits=18
                    ),
                ),
                ("quantity", models.PositiveIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("PLACING", "Being placed"),
                            ("STANDING", "Stands at the broker"),
                            ("SELLING", "Being sold"),
                            ("ENDED", "Over"),
                        ],
                        default="PLACING",
                        max_length=8,
                    ),
                ),
                (
                    "end",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("SOLD", "It sold"),
                            ("STOOD_DOWN", "Cancelled by ARUN"),
                            ("DAY_OVER", "Its day ended"),
                            ("DROPPED", "Dropped by the broker"),
                            ("NOT_PLACED", "Never placed"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "seen_at",
                    models.DateTimeField(help_text="Database time of the last book that showed it.", null=True),
                ),
                (
                    "short_since",
                    models.DateTimeField(
                        help_text="Database time of a book in which shares were missing that it may have sold just then.",
                        null=True,
                    ),
                ),
                ("created_at", models.DateTimeField(db_default=apps.trading.models.ClockTimestamp())),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="orderintent",
            name="order_one_live_exit",
        ),
        migrations.AddField(
            model_name="bot",
            name="keeps_stop_at_broker",
            field=models.BooleanField(
                default=True,
                help_text="Whether a stop order is left at the broker for each position, where the broker can.",
            ),
        ),
        migrations.AddField(
            model_name="ordercommand",
            name="purpose",
            field=models.CharField(
                blank=True,
                choices=[
                    ("ENTRY", "ENTRY"),
                    ("EXIT", "EXIT"),
                    ("SIP", "SIP"),
                    ("MANUAL", "MANUAL"),
                    ("FLATTEN", "FLATTEN"),
                    ("PROTECT", "PROTECT"),
                ],
                help_text="What a MODIFY makes of the order, when that is another purpose than its own.",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="orderintent",
            name="origin",
            field=models.CharField(
                choices=[
                    ("DECIDED", "Decided here"),
                    ("RECOVERED", "Found in the broker's book after this database had forgotten it"),
                ],
                default="DECIDED",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="orderattempt",
            name="purpose",
            field=models.CharField(
                choices=[
                    ("ENTRY", "ENTRY"),
                    ("EXIT", "EXIT"),
                    ("SIP", "SIP"),
                    ("MANUAL", "MANUAL"),
                    ("FLATTEN", "FLATTEN"),
                    ("PROTECT", "PROTECT"),
                ],
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="ordercommand",
            name="terms",
            field=models.JSONField(
                default=dict, help_text="New order_type, quantity, limit_price or trigger_price of a MODIFY."
            ),
        ),
        migrations.AlterField(
            model_name="orderintent",
            name="purpose",
            field=models.CharField(
                choices=[
                    ("ENTRY", "ENTRY"),
                    ("EXIT", "EXIT"),
                    ("SIP", "SIP"),
                    ("MANUAL", "MANUAL"),
                    ("FLATTEN", "FLATTEN"),
                    ("PROTECT", "PROTECT"),
                ],
                max_length=8,
            ),
        ),
        migrations.AddConstraint(
            model_name="orderintent",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("blocks", True),
                    ("side", "SELL"),
                    ("state__in", ["NEW", "SENDING", "ACCEPTED", "PARTIAL", "UNKNOWN", "PARKED"]),
                    models.Q(("purpose", "PROTECT"), _negated=True),
                ),
                fields=("tenant", "position"),
                name="order_one_live_exit",
            ),
        ),
        migrations.AddField(
            model_name="protectiveorder",
            name="intent",
            field=apps.common.db.TenantOneToOneField(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="protective_order",
                to="trading.orderintent",
            ),
        ),
        migrations.AddField(
            model_name="protectiveorder",
            name="position",
            field=apps.common.db.TenantForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="protective_orders",
                to="trading.position",
            ),
        ),
        migrations.AddField(
            model_name="protectiveorder",
            name="tenant",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenants.tenant"
            ),
        ),
        migrations.AddIndex(
            model_name="protectiveorder",
            index=models.Index(fields=["tenant", "position", "created_at"], name="protective_by_position"),
        ),
        migrations.AddConstraint(
            model_name="protectiveorder",
            constraint=models.CheckConstraint(
                condition=models.Q(("quantity__gt", 0), ("trigger_price__gt", 0)), name="protective_positive"
            ),
        ),
        migrations.AddConstraint(
            model_name="protectiveorder",
            constraint=models.CheckConstraint(
                condition=models.Q(("state", "ENDED"), ("end", ""), _connector="XOR"), name="protective_end_named"
            ),
        ),
        SecureTenantTable("ProtectiveOrder"),
    ]
