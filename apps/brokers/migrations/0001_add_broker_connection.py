from decimal import Decimal

import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import apps.common.ids
import apps.common.operations


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("tenants", "__first__"),
    ]

    operations = [
        migrations.CreateModel(
            name="BrokerConnection",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("broker", models.CharField(choices=[("paper", "Paper trading")], max_length=16)),
                ("label", models.CharField(max_length=80)),
                (
                    "venue",
                    models.CharField(
                        choices=[("SIM", "Simulated market"), ("NSE", "National Stock Exchange of India")], max_length=8
                    ),
                ),
                ("account_ref", models.CharField(help_text="The account's name at the broker.", max_length=40)),
                (
                    "mode",
                    models.CharField(
                        choices=[
                            ("paper", "Paper"),
                            ("alert", "Tell me only"),
                            ("approve", "Ask before each order"),
                            ("auto", "Trade on its own"),
                        ],
                        default="paper",
                        max_length=8,
                    ),
                ),
                (
                    "opening_cash",
                    models.DecimalField(
                        decimal_places=2,
                        default=Decimal("0"),
                        help_text="Rupees a paper account starts with; 0 at a real broker.",
                        max_digits=16,
                        validators=[django.core.validators.MinValueValidator(Decimal("0"))],
                    ),
                ),
                (
                    "session_state",
                    models.CharField(
                        choices=[
                            ("UNKNOWN", "Not asked yet"),
                            ("ALIVE", "Connected"),
                            ("EXPIRED", "Log in again"),
                            ("COMPETING", "Used elsewhere"),
                            ("NOT_PROVISIONED", "Not allowed by the broker"),
                            ("DEGRADED", "Broker in trouble"),
                        ],
                        default="UNKNOWN",
                        max_length=16,
                    ),
                ),
                ("session_message", models.CharField(blank=True, max_length=200)),
                ("session_checked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "late_acceptance_seconds",
                    models.PositiveIntegerField(
                        blank=True, help_text="Replaces the broker's own bound (W) for this connection.", null=True
                    ),
                ),
                (
                    "book_lag_seconds",
                    models.PositiveIntegerField(
                        blank=True, help_text="Replaces the broker's own bound (V) for this connection.", null=True
                    ),
                ),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
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
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "broker", "account_ref"), name="broker_connection_once"),
                    models.CheckConstraint(
                        condition=models.Q(("opening_cash__gte", 0)), name="broker_connection_cash_positive"
                    ),
                ],
            },
        ),
        apps.common.operations.SecureTenantTable("BrokerConnection"),
    ]
