"""How far an account's set-up has come."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import apps.common.db
import apps.common.ids
from apps.common.operations import SecureTenantTable


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("brokers", "0002_add_connection_test"),
        ("tenants", "0004_store_the_acknowledged_text"),
        ("trading", "0001_add_order_protocol"),
    ]

    operations = [
        migrations.CreateModel(
            name="SetupDraft",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "step",
                    models.PositiveSmallIntegerField(
                        choices=[(1, "BROKER"), (2, "LIMITS"), (3, "SHARES"), (4, "FINISHED")],
                        default=1,
                        help_text="The first step that is not done.",
                    ),
                ),
                ("typed", models.JSONField(default=dict, help_text="By step, what was written into its fields.")),
                ("plan", models.JSONField(help_text="apps.onboarding.plan.RiskPlan as JSON.", null=True)),
                (
                    "share_ids",
                    models.JSONField(default=dict, help_text="By venue, the ids of the shares that were chosen."),
                ),
                (
                    "import_id",
                    models.UUIDField(help_text="The report on an uploaded list; it expires on its own.", null=True),
                ),
                (
                    "is_import_used",
                    models.BooleanField(default=False, help_text="Whether its good rows shall be watched."),
                ),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("finished_at", models.DateTimeField(help_text="Business time.", null=True)),
                (
                    "second_factor_asked_at",
                    models.DateTimeField(help_text="Business time of the answer to the offer.", null=True),
                ),
                (
                    "acknowledgement",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.acknowledgement",
                    ),
                ),
                (
                    "bot",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="trading.bot",
                    ),
                ),
                (
                    "connection",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
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
                "constraints": [models.UniqueConstraint(fields=("tenant",), name="setup_draft_once")],
            },
        ),
        SecureTenantTable("SetupDraft"),
    ]
