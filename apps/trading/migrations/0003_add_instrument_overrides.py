"""A share may have parameters and limits of its own, in versions; and an uploaded list of shares is kept."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import apps.common.db
import apps.common.ids
from apps.common.operations import SecureTenantTable


class Migration(migrations.Migration):
    dependencies = [
        ("brokers", "0001_add_broker_connection"),
        ("market", "0002_add_instrument_charge_class"),
        ("tenants", "0002_add_acknowledgement"),
        ("trading", "0002_add_position_levels_and_outside_trades"),
    ]

    operations = [
        migrations.AddField(
            model_name="decision",
            name="settings_version",
            field=models.PositiveIntegerField(
                default=0, help_text="InstrumentVersion of the share's own settings; 0: the bot's parameters alone."
            ),
        ),
        migrations.AddField(
            model_name="instrumentconfig",
            name="limits",
            field=models.JSONField(default=dict, help_text="apps.trading.overrides: limits it has of its own."),
        ),
        migrations.AddField(
            model_name="instrumentconfig",
            name="overrides",
            field=models.JSONField(default=dict, help_text="apps.trading.overrides: parameters it has of its own."),
        ),
        migrations.AddField(
            model_name="instrumentconfig",
            name="settings_version",
            field=models.PositiveIntegerField(default=0, help_text="InstrumentVersion it stands at; 0: none yet."),
        ),
        migrations.CreateModel(
            name="InstrumentImport",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("file_name", models.CharField(max_length=120)),
                ("report", models.JSONField(help_text="apps.trading.services.instrument_import.ImportReport as JSON.")),
                ("uploaded_by", models.CharField(max_length=80)),
                ("uploaded_at", models.DateTimeField(help_text="Business time.")),
                (
                    "expires_at",
                    models.DateTimeField(help_text="Business time after which it cannot be saved and is deleted."),
                ),
                ("saved_at", models.DateTimeField(help_text="Business time.", null=True)),
                ("saved_by", models.CharField(blank=True, max_length=80)),
                ("result", models.JSONField(help_text="What saving it did.", null=True)),
                (
                    "bot",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        help_text="Empty while the bot is not made yet.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="trading.bot",
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
                "indexes": [models.Index(fields=["tenant", "expires_at"], name="import_by_expiry")],
            },
        ),
        migrations.CreateModel(
            name="InstrumentVersion",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("version", models.PositiveIntegerField()),
                ("is_enabled", models.BooleanField()),
                ("is_removed", models.BooleanField(default=False)),
                ("baseline_quantity", models.PositiveIntegerField()),
                ("overrides", models.JSONField(default=dict)),
                ("limits", models.JSONField(default=dict)),
                ("created_by", models.CharField(max_length=80)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "bot",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="trading.bot",
                    ),
                ),
                (
                    "connection",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
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
                    models.UniqueConstraint(
                        fields=("tenant", "connection", "instrument", "version"), name="instrument_version_once"
                    )
                ],
            },
        ),
        SecureTenantTable("InstrumentVersion", append_only=True),
        SecureTenantTable("InstrumentImport"),
    ]
