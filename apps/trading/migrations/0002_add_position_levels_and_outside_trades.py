"""What a person decides about a lot: its own stop and target, and shares that came or went outside ARUN."""

import django.db.models.deletion
from django.db import migrations, models

import apps.common.db
import apps.common.ids
from apps.common.operations import SecureTenantTable


class Migration(migrations.Migration):
    dependencies = [
        ("brokers", "0001_add_broker_connection"),
        ("market", "0002_add_instrument_charge_class"),
        ("tenants", "0002_add_acknowledgement"),
        ("trading", "0001_add_order_protocol"),
    ]

    operations = [
        migrations.CreateModel(
            name="OutsideTrade",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("MINE", "The customer's own shares"),
                            ("ADOPTED", "Given to the bot"),
                            ("SOLD", "Of the bot, sold outside"),
                        ],
                        max_length=8,
                    ),
                ),
                ("quantity", models.IntegerField(help_text="Shares that came, or with a minus went.")),
                (
                    "price",
                    models.DecimalField(
                        decimal_places=4,
                        help_text="Rupees per share, as the person stated it.",
                        max_digits=18,
                        null=True,
                    ),
                ),
                (
                    "market_price",
                    models.DecimalField(
                        decimal_places=4,
                        help_text="The last price at that moment, where one was known.",
                        max_digits=18,
                        null=True,
                    ),
                ),
                (
                    "broker_quantity",
                    models.PositiveIntegerField(help_text="What the broker held, as the person saw it."),
                ),
                ("lot_quantity", models.PositiveIntegerField(help_text="The bot's lot before.")),
                ("baseline_quantity", models.PositiveIntegerField(help_text="The customer's own shares before.")),
                ("request_id", models.UUIDField(help_text="From the form: the same form sent twice is one decision.")),
                ("decided_by", models.CharField(max_length=80)),
                ("decided_at", models.DateTimeField(help_text="Business time.")),
                (
                    "bot",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="outside_trades",
                        to="trading.bot",
                    ),
                ),
                (
                    "connection",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="outside_trades",
                        to="brokers.brokerconnection",
                    ),
                ),
                (
                    "instrument",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="market.instrument"
                    ),
                ),
                (
                    "position",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="outside_trades",
                        to="trading.position",
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
                "indexes": [models.Index(fields=["tenant", "-decided_at"], name="outside_by_time")],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "request_id"), name="outside_request_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("kind", "MINE"),
                                ("position", None),
                                ("price", None),
                                models.Q(("quantity", 0), _negated=True),
                            ),
                            models.Q(
                                ("kind", "ADOPTED"), ("position__isnull", False), ("price__gt", 0), ("quantity__gt", 0)
                            ),
                            models.Q(
                                ("kind", "SOLD"), ("position__isnull", False), ("price__gt", 0), ("quantity__lt", 0)
                            ),
                            _connector="OR",
                        ),
                        name="outside_whole",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PositionLevels",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("version", models.PositiveIntegerField()),
                ("stop_price", models.DecimalField(decimal_places=4, max_digits=18, null=True)),
                ("target_price", models.DecimalField(decimal_places=4, max_digits=18, null=True)),
                ("previous_stop_price", models.DecimalField(decimal_places=4, max_digits=18, null=True)),
                ("previous_target_price", models.DecimalField(decimal_places=4, max_digits=18, null=True)),
                ("request_id", models.UUIDField(help_text="From the form: the same form sent twice is one change.")),
                ("changed_by", models.CharField(max_length=80)),
                ("changed_at", models.DateTimeField(help_text="Business time.")),
                (
                    "position",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="level_versions",
                        to="trading.position",
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
                "indexes": [models.Index(fields=["tenant", "-changed_at"], name="levels_by_time")],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "position", "version"), name="levels_version_once"),
                    models.UniqueConstraint(fields=("tenant", "request_id"), name="levels_request_once"),
                ],
            },
        ),
        SecureTenantTable("PositionLevels", append_only=True),
        SecureTenantTable("OutsideTrade", append_only=True),
    ]
