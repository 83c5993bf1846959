"""The limits of the whole account, in versions, and which version a cycle counted by."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import apps.common.ids
from apps.common.operations import SecureTenantTable


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0003_add_membership_notices"),
        ("trading", "0008_add_equity_points"),
    ]

    operations = [
        migrations.AddField(
            model_name="cyclerun",
            name="tenant_limits_version",
            field=models.PositiveIntegerField(
                db_default=0, help_text="TenantLimits that counted beside the bot's own; 0: none were set."
            ),
        ),
        migrations.CreateModel(
            name="TenantLimits",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("version", models.PositiveIntegerField()),
                ("limits", models.JSONField(help_text="apps.engine.model.params.RiskLimits as JSON.")),
                ("created_by", models.CharField(max_length=80)),
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
                    models.UniqueConstraint(fields=("tenant", "version"), name="tenant_limits_version_once")
                ],
            },
        ),
        SecureTenantTable("TenantLimits", append_only=True),
    ]
