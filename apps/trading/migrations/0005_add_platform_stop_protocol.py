"""Stops above the tenants: two people where one is not enough, a drain over all accounts, one acknowledgement."""

import django.db.models.deletion
from django.db import migrations, models

import apps.common.ids
import apps.trading.models
from apps.common.operations import AppendOnlyTable, SecureTenantTable

# A stop above the tenants must find every account that can send, and its drain may read no tenant's rows to do so. Each
# account that can send has a run-control row (a send without it is refused), and with that row a work item of the kind
# `platform`, which the dispatcher's role may list like all work. The item stays for as long as the row does.
LIST_TENANTS = """
CREATE FUNCTION arun_list_tenant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO common_workitem (id, kind, tenant_id, object_id, due_at, fence)
    VALUES (gen_random_uuid(), 'platform', NEW.tenant_id, NEW.tenant_id, '9999-12-31T00:00:00Z', 0)
    ON CONFLICT (tenant_id, kind, object_id) DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER list_tenant AFTER INSERT ON trading_runcontrol
    FOR EACH ROW WHEN (NEW.scope = 'tenant') EXECUTE FUNCTION arun_list_tenant();

CREATE FUNCTION arun_keep_tenant_listed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM trading_runcontrol WHERE tenant_id = OLD.tenant_id AND scope = 'tenant') THEN
        RAISE EXCEPTION 'stops above the tenants find account % by this row', OLD.tenant_id
            USING ERRCODE = 'check_violation';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_tenant_listed BEFORE DELETE OR UPDATE OF kind, tenant_id, object_id ON common_workitem
    FOR EACH ROW WHEN (OLD.kind = 'platform') EXECUTE FUNCTION arun_keep_tenant_listed();

INSERT INTO common_workitem (id, kind, tenant_id, object_id, due_at, fence)
SELECT gen_random_uuid(), 'platform', tenant_id, tenant_id, '9999-12-31T00:00:00Z', 0
FROM trading_runcontrol WHERE scope = 'tenant'
ON CONFLICT (tenant_id, kind, object_id) DO NOTHING;
"""
LIST_NO_TENANTS = """
DROP FUNCTION arun_list_tenant() CASCADE;
DROP FUNCTION arun_keep_tenant_listed() CASCADE;
DELETE FROM common_workitem WHERE kind = 'platform';
"""


class Migration(migrations.Migration):
    dependencies = [
        ("common", "0004_add_platform_audit"),
        ("brokers", "0001_add_broker_connection"),
        ("market", "0002_add_instrument_charge_class"),
        ("tenants", "0002_add_acknowledgement"),
        ("trading", "0004_add_protective_orders"),
    ]

    operations = [
        migrations.CreateModel(
            name="PlatformStopAcknowledgement",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("acknowledged_at", models.DateTimeField(db_default=apps.trading.models.ClockTimestamp())),
                ("tenants", models.PositiveIntegerField(default=0, help_text="Accounts with a bot in the scope.")),
                ("in_flight", models.PositiveIntegerField(default=0)),
                ("cancelled", models.PositiveIntegerField(default=0)),
                ("flattening", models.PositiveIntegerField(default=0)),
                (
                    "superseded_by",
                    models.BigIntegerField(help_text="Epoch of a later request of the same scope.", null=True),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PlatformStopEffect",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("at", models.DateTimeField(db_default=apps.trading.models.ClockTimestamp())),
                ("in_flight", models.JSONField(default=list, help_text="Orders that had left before, by name.")),
                ("cancelled", models.JSONField(default=list, help_text="Working orders that are being cancelled.")),
                ("flattening", models.JSONField(default=list, help_text="Positions that are being sold.")),
            ],
        ),
        migrations.CreateModel(
            name="PlatformStopEscalation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_default=apps.trading.models.ClockTimestamp())),
                ("step", models.CharField(max_length=40)),
                ("data", models.JSONField(default=dict)),
            ],
        ),
        migrations.CreateModel(
            name="PlatformStopProgress",
            fields=[
                (
                    "stop",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="progress",
                        serialize=False,
                        to="trading.platformstoprequest",
                    ),
                ),
                (
                    "lease_until",
                    models.DateTimeField(help_text="Database time until which a drain is at work.", null=True),
                ),
                ("lease_by", models.UUIDField(null=True)),
                ("tenants", models.PositiveIntegerField(default=0, help_text="Accounts to look at.")),
                ("settled", models.PositiveIntegerField(default=0, help_text="Accounts in which it is proven.")),
                ("looked_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="PlatformStopProposal",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        help_text="The request's id, if it becomes one.", primary_key=True, serialize=False
                    ),
                ),
                (
                    "scope",
                    models.CharField(
                        choices=[("platform", "Platform"), ("broker", "Broker"), ("strategy", "Strategy version")],
                        max_length=8,
                    ),
                ),
                ("key", models.CharField(blank=True, max_length=60)),
                (
                    "level",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "RUNNING"), (1, "PAUSE_ENTRIES"), (2, "STOP"), (3, "FLATTEN"), (4, "REVOKE")]
                    ),
                ),
                (
                    "seen_epoch",
                    models.BigIntegerField(help_text="The scope's newest request then; a newer one ends the proposal."),
                ),
                ("proposed_by", models.CharField(max_length=80)),
                ("reason", models.CharField(max_length=200)),
                ("proposed_at", models.DateTimeField(db_default=apps.trading.models.ClockTimestamp())),
            ],
        ),
        migrations.CreateModel(
            name="PlatformStopVerdict",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("is_approved", models.BooleanField()),
                ("decided_by", models.CharField(max_length=80)),
                ("decided_at", models.DateTimeField(db_default=apps.trading.models.ClockTimestamp())),
            ],
        ),
        migrations.AddField(
            model_name="ordercommand",
            name="platform_stop",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="trading.platformstoprequest",
            ),
        ),
        migrations.AddField(
            model_name="orderintent",
            name="platform_stop",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="trading.platformstoprequest",
            ),
        ),
        migrations.AddField(
            model_name="platformstoprequest",
            name="approved_by",
            field=models.CharField(blank=True, help_text="The second person, where one is needed.", max_length=80),
        ),
        migrations.AddField(
            model_name="platformstoprequest",
            name="request_id",
            field=models.UUIDField(
                db_default=models.Func(function="gen_random_uuid", output_field=models.UUIDField()),
                help_text="As in a StopRequest.",
                unique=True,
            ),
        ),
        migrations.AlterField(
            model_name="platformstoprequest",
            name="reason",
            field=models.CharField(help_text="Customers read it.", max_length=200),
        ),
        migrations.AddConstraint(
            model_name="orderintent",
            constraint=models.CheckConstraint(
                condition=models.Q(("stop", None), ("platform_stop", None), _connector="OR"),
                name="order_carries_one_stop",
            ),
        ),
        migrations.AddConstraint(
            model_name="platformstoprequest",
            constraint=models.CheckConstraint(
                condition=models.Q(("approved_by", models.F("requested_by")), _negated=True),
                name="platform_stop_two_people",
            ),
        ),
        migrations.AddConstraint(
            model_name="platformstoprequest",
            constraint=models.CheckConstraint(
                condition=models.Q(("level__lt", 3), models.Q(("approved_by", ""), _negated=True), _connector="OR"),
                name="platform_stop_approved",
            ),
        ),
        migrations.AddField(
            model_name="platformstopacknowledgement",
            name="stop",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="acknowledgement",
                to="trading.platformstoprequest",
            ),
        ),
        migrations.AddField(
            model_name="platformstopeffect",
            name="stop",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="trading.platformstoprequest"
            ),
        ),
        migrations.AddField(
            model_name="platformstopeffect",
            name="tenant",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="tenants.tenant"
            ),
        ),
        migrations.AddField(
            model_name="platformstopescalation",
            name="stop",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="escalations",
                to="trading.platformstoprequest",
            ),
        ),
        migrations.AddField(
            model_name="platformstopverdict",
            name="proposal",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT, related_name="verdict", to="trading.platformstopproposal"
            ),
        ),
        migrations.AddConstraint(
            model_name="platformstopeffect",
            constraint=models.UniqueConstraint(fields=("tenant", "stop"), name="platform_effect_once"),
        ),
        SecureTenantTable("PlatformStopEffect", append_only=True),
        AppendOnlyTable("PlatformStopAcknowledgement"),
        AppendOnlyTable("PlatformStopEscalation"),
        AppendOnlyTable("PlatformStopProposal"),
        AppendOnlyTable("PlatformStopVerdict"),
        migrations.RunSQL(LIST_TENANTS, LIST_NO_TENANTS),
    ]
