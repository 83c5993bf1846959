"""Plans, and which tenant is on which."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import apps.common.ids
from apps.common.operations import SecureTenantTable


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("tenants", "0002_add_acknowledgement"),
    ]

    operations = [
        migrations.CreateModel(
            name="Plan",
            fields=[
                ("code", models.SlugField(max_length=32, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=60)),
                (
                    "rank",
                    models.PositiveSmallIntegerField(help_text="Order on the price page, cheapest first.", unique=True),
                ),
                (
                    "price_monthly",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        help_text="Rupees including GST; empty: by contract.",
                        max_digits=10,
                        null=True,
                    ),
                ),
                ("price_yearly", models.DecimalField(blank=True, decimal_places=2, max_digits=10, null=True)),
                ("max_bots", models.PositiveIntegerField(blank=True, null=True)),
                ("max_instruments", models.PositiveIntegerField(blank=True, null=True)),
                (
                    "max_live_connections",
                    models.PositiveIntegerField(blank=True, help_text="0: the paper broker only.", null=True),
                ),
                ("highest_mode", models.CharField(default="paper", max_length=16)),
                ("max_backtests_per_day", models.PositiveIntegerField(blank=True, null=True)),
                ("max_api_keys", models.PositiveIntegerField(blank=True, null=True)),
                ("max_seats", models.PositiveIntegerField(blank=True, null=True)),
                ("channels", models.JSONField(default=list, help_text="Notification channels by name.")),
                ("support_level", models.CharField(max_length=40)),
                ("is_sold", models.BooleanField(default=False)),
            ],
            options={
                "ordering": ["rank"],
            },
        ),
        migrations.CreateModel(
            name="Subscription",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("free", "Free"),
                            ("trialing", "Trial"),
                            ("active", "Active"),
                            ("past_due", "Payment overdue"),
                            ("incomplete", "First payment missing"),
                            ("incomplete_expired", "First payment never came"),
                            ("unpaid", "Unpaid"),
                            ("paused", "Paused"),
                            ("canceled", "Canceled"),
                        ],
                        default="free",
                        max_length=24,
                    ),
                ),
                ("period_ends_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "plan",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="subscriptions.plan"
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
                "constraints": [models.UniqueConstraint(fields=("tenant",), name="subscription_once")],
            },
        ),
        SecureTenantTable("Subscription"),
    ]
