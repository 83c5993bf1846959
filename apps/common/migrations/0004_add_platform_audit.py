"""The platform's own audit log and its chain, and the kind of work item by which stops above the tenants find them."""

from django.db import migrations, models

import apps.common.ids
import apps.common.models
from apps.common.operations import AppendOnlyTable

# As with the tenants' rows: the application writes entries, and only the relay links them.
ROLES = """
REVOKE INSERT ON common_platformauditlink FROM arun_app;
GRANT SELECT ON common_platformauditentry TO arun_relay;
GRANT SELECT, INSERT ON common_platformauditlink TO arun_relay;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("common", "0003_order_work_by_urgency"),
    ]

    operations = [
        migrations.CreateModel(
            name="PlatformAuditEntry",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("actor", models.CharField(help_text="staff:<id> or process:<name>", max_length=80)),
                ("action", models.CharField(max_length=80)),
                ("subject", models.CharField(blank=True, max_length=120)),
                ("data", models.JSONField(default=dict)),
                ("at", models.DateTimeField()),
                ("xid", models.BigIntegerField(db_default=apps.common.models.CurrentTransactionId())),
                ("row_hash", models.CharField(help_text="SHA-256 of the canonical row.", max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name="PlatformAuditLink",
            fields=[
                ("entry_id", models.UUIDField(primary_key=True, serialize=False)),
                ("seq", models.BigIntegerField(unique=True)),
                ("previous_hash", models.CharField(max_length=64)),
                ("chain_hash", models.CharField(help_text="SHA-256(previous_hash || row_hash)", max_length=64)),
            ],
        ),
        migrations.AlterField(
            model_name="workitem",
            name="kind",
            field=models.CharField(
                choices=[
                    ("cycle", "trading cycle of a bot"),
                    ("order", "an order intent that is not settled"),
                    ("stop", "a stop that is draining"),
                    ("reconcile", "comparison of a connection with its broker"),
                    ("platform", "an account that stops above the tenants find"),
                ],
                max_length=16,
            ),
        ),
        AppendOnlyTable("PlatformAuditEntry"),
        AppendOnlyTable("PlatformAuditLink"),
        migrations.RunSQL(ROLES, migrations.RunSQL.noop),
    ]
