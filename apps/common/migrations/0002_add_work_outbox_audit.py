"""Due work, the outbox, the audit log and heartbeats, with the narrow roles that work on them across tenants."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import apps.common.ids
import apps.common.models
from apps.common.operations import AppendOnlyTable, SecureSharedTable, SecureTenantTable

# The relay seals every tenant's audit rows into chains; it reads the rows and writes only links.
LET_RELAY_READ_AUDIT = """
CREATE POLICY arun_relay_rows ON common_auditentry FOR SELECT TO arun_relay USING (true);
GRANT SELECT ON common_auditentry TO arun_relay;
"""

# At most one notification reaches the relay for a transaction, however many rows it wrote.
NOTIFY_RELAY = """
CREATE FUNCTION arun_outbox_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('arun_outbox', '');
    RETURN NULL;
END $$;
CREATE TRIGGER outbox_notify AFTER INSERT ON common_outboxevent
    FOR EACH STATEMENT EXECUTE FUNCTION arun_outbox_notify();
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("common", "0001_add_roles_and_functions"),
        ("tenants", "0001_add_tenant_membership_route_key"),
    ]

    operations = [
        migrations.CreateModel(
            name="TenantStream",
            fields=[
                (
                    "tenant",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="tenants.tenant",
                    ),
                ),
                ("last_seq", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="Heartbeat",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("component", models.CharField(max_length=40)),
                ("instance", models.CharField(max_length=120)),
                ("seen_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("component", "instance"), name="heartbeat_once")],
            },
        ),
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("actor", models.CharField(help_text="user:<id>, staff:<id> or process:<name>", max_length=80)),
                ("action", models.CharField(max_length=80)),
                ("subject", models.CharField(blank=True, max_length=120)),
                ("data", models.JSONField(default=dict)),
                ("at", models.DateTimeField()),
                ("xid", models.BigIntegerField(db_default=apps.common.models.CurrentTransactionId())),
                ("row_hash", models.CharField(help_text="SHA-256 of the canonical row.", max_length=64)),
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
                "indexes": [
                    models.Index(fields=["tenant", "at"], name="audit_by_time"),
                    models.Index(fields=["xid"], name="audit_by_transaction"),
                ],
            },
        ),
        migrations.CreateModel(
            name="AuditLink",
            fields=[
                ("entry_id", models.UUIDField(primary_key=True, serialize=False)),
                ("seq", models.BigIntegerField()),
                ("previous_hash", models.CharField(max_length=64)),
                ("chain_hash", models.CharField(help_text="SHA-256(previous_hash || row_hash)", max_length=64)),
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
                "constraints": [models.UniqueConstraint(fields=("tenant", "seq"), name="audit_link_seq_once")],
            },
        ),
        migrations.CreateModel(
            name="OutboxEvent",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("kind", models.CharField(max_length=64)),
                ("data", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "seq",
                    models.BigIntegerField(help_text="Place in the tenant's stream; given by the relay.", null=True),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0, help_text="Times a handler failed on it.")),
                (
                    "retry_at",
                    models.DateTimeField(help_text="Database time before which the relay leaves it alone.", null=True),
                ),
                ("published_at", models.DateTimeField(null=True)),
                ("parked_at", models.DateTimeField(help_text="When the relay gave up on a handler.", null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("seq", None)), fields=["id"], name="outbox_unnumbered"),
                    models.Index(condition=models.Q(("published_at", None)), fields=["id"], name="outbox_waiting"),
                    models.Index(
                        condition=models.Q(("published_at__isnull", False)),
                        fields=["published_at"],
                        name="outbox_by_age",
                    ),
                ],
                "constraints": [models.UniqueConstraint(fields=("tenant", "seq"), name="outbox_seq_once")],
            },
        ),
        migrations.CreateModel(
            name="WorkItem",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("cycle", "trading cycle of a bot"),
                            ("order", "an order intent that is not settled"),
                            ("stop", "a stop that is draining"),
                            ("reconcile", "comparison of a connection with its broker"),
                        ],
                        max_length=16,
                    ),
                ),
                ("object_id", models.UUIDField()),
                ("due_at", models.DateTimeField(help_text="Business time (UTC) from which the item may be claimed.")),
                (
                    "lease_until",
                    models.DateTimeField(blank=True, help_text="Database time until which a claim holds.", null=True),
                ),
                ("fence", models.BigIntegerField(default=0, help_text="Number of claims so far.")),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["due_at"], name="work_item_due")],
                "constraints": [models.UniqueConstraint(fields=("tenant", "kind", "object_id"), name="work_item_once")],
            },
        ),
        SecureSharedTable("WorkItem", app="SELECT, INSERT, UPDATE, DELETE", others={"arun_dispatch": "SELECT, UPDATE"}),
        SecureSharedTable("OutboxEvent", app="SELECT, INSERT", others={"arun_relay": "SELECT, UPDATE, DELETE"}),
        SecureSharedTable("TenantStream", app="SELECT", others={"arun_relay": "SELECT, INSERT, UPDATE"}),
        SecureTenantTable("AuditEntry", append_only=True),
        SecureSharedTable("AuditLink", app="SELECT", others={"arun_relay": "SELECT, INSERT"}),
        AppendOnlyTable("AuditLink"),
        migrations.RunSQL(LET_RELAY_READ_AUDIT, migrations.RunSQL.noop),
        migrations.RunSQL(NOTIFY_RELAY, "DROP FUNCTION arun_outbox_notify() CASCADE"),
        migrations.RunSQL(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON common_heartbeat TO arun_relay", migrations.RunSQL.noop
        ),
    ]
