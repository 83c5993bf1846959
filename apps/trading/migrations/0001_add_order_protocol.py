"""Bots, decisions, orders, fills and positions, with the arrows between order states enforced by the database."""

from decimal import Decimal

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import apps.common.db
import apps.common.ids
import apps.engine.model.choices
import apps.trading.models
from apps.common.operations import AppendOnlyTable, ReferenceTenantTables, SecureSharedTable, SecureTenantTable

STOP_EPOCH = "CREATE SEQUENCE arun_stop_epoch; GRANT USAGE ON SEQUENCE arun_stop_epoch TO arun_app;"

# The same arrows as apps.engine.execution.states.TRANSITIONS; a test compares the two.
ORDER_MOVES = """
CREATE FUNCTION arun_check_order_move() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    arrows constant text[] := ARRAY[
        'NEW>SENDING', 'NEW>DEAD',
        'SENDING>NEW', 'SENDING>ACCEPTED', 'SENDING>REJECTED', 'SENDING>UNKNOWN',
        'ACCEPTED>PARTIAL', 'ACCEPTED>FILLED', 'ACCEPTED>CANCELLED', 'ACCEPTED>EXPIRED', 'ACCEPTED>REJECTED',
        'PARTIAL>FILLED', 'PARTIAL>CANCELLED', 'PARTIAL>EXPIRED',
        'UNKNOWN>ACCEPTED', 'UNKNOWN>PARTIAL', 'UNKNOWN>FILLED', 'UNKNOWN>CANCELLED', 'UNKNOWN>REJECTED',
        'UNKNOWN>EXPIRED', 'UNKNOWN>DEAD', 'UNKNOWN>PARKED',
        'PARKED>ACCEPTED', 'PARKED>PARTIAL', 'PARKED>FILLED', 'PARKED>CANCELLED', 'PARKED>REJECTED',
        'PARKED>EXPIRED', 'PARKED>DEAD',
        'DEAD>ACCEPTED'
    ];
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'NEW' THEN
            RAISE EXCEPTION 'an order starts NEW, not %', NEW.state USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.state <> OLD.state AND NOT (OLD.state || '>' || NEW.state) = ANY (arrows) THEN
        RAISE EXCEPTION 'no order moves from % to %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.fence < OLD.fence OR NEW.filled_quantity < OLD.filled_quantity
       OR NEW.observed_filled < OLD.observed_filled OR NEW.intent_key <> OLD.intent_key
       OR NEW.client_order_id <> OLD.client_order_id OR NEW.side <> OLD.side
       OR NEW.instrument_id <> OLD.instrument_id OR NEW.connection_id <> OLD.connection_id THEN
        RAISE EXCEPTION 'order %: a fence or a filled quantity falls, or its identity changes', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.quantity <> OLD.quantity AND NOT (OLD.state = 'NEW' AND NEW.quantity < OLD.quantity) THEN
        RAISE EXCEPTION 'order %: its quantity changes after it may have left', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state <> OLD.state AND NEW.fence = 0 THEN
        RAISE EXCEPTION 'order %: moved without a claim', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER order_moves BEFORE INSERT OR UPDATE ON trading_orderintent
    FOR EACH ROW EXECUTE FUNCTION arun_check_order_move();
"""

PLATFORM_ROW = "INSERT INTO trading_platformcontrol (scope, key, drained_epoch) VALUES ('platform', '', 0);"


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("brokers", "0001_add_broker_connection"),
        ("market", "0001_add_instrument_candle_session"),
        ("tenants", "0001_add_tenant_membership_route_key"),
    ]

    operations = [
        migrations.RunSQL(STOP_EPOCH, "DROP SEQUENCE arun_stop_epoch"),
        migrations.CreateModel(
            name="AccountState",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "cash",
                    models.DecimalField(
                        decimal_places=4, help_text="Deployable rupees by the broker.", max_digits=18, null=True
                    ),
                ),
                ("cash_read_at", models.DateTimeField(help_text="Database time.", null=True)),
                (
                    "reconciled_at",
                    models.DateTimeField(help_text="Database time of the last complete reconciliation.", null=True),
                ),
                (
                    "failing_since",
                    models.DateTimeField(help_text="Database time since when its books cannot be read.", null=True),
                ),
                ("failure", models.CharField(blank=True, max_length=300)),
                (
                    "is_quarantined",
                    models.BooleanField(default=True, help_text="No entry before its books agreed once."),
                ),
                (
                    "timeline",
                    models.CharField(
                        blank=True, help_text="PostgreSQL system and timeline it agreed under.", max_length=40
                    ),
                ),
                (
                    "connection",
                    apps.common.db.TenantOneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="account_state",
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
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Bot",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("name", models.CharField(max_length=80)),
                ("strategy", models.CharField(default="rsi_reversion", max_length=40)),
                ("strategy_version", models.PositiveIntegerField(default=1)),
                (
                    "allocated_capital",
                    models.DecimalField(
                        decimal_places=4, help_text="Rupees the bot may have in positions.", max_digits=18
                    ),
                ),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("archived_at", models.DateTimeField(blank=True, null=True)),
                (
                    "connection",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="bots",
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
        ),
        migrations.CreateModel(
            name="CycleRun",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("slot", models.CharField(max_length=80)),
                ("trigger", models.CharField(choices=[("CANDLE", "CANDLE"), ("PRICE", "PRICE")], max_length=8)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("STARTED", "Running"),
                            ("DONE", "Done"),
                            ("SKIPPED", "Skipped"),
                            ("FAILED", "Failed"),
                        ],
                        default="STARTED",
                        max_length=8,
                    ),
                ),
                ("reason", models.CharField(blank=True, help_text="Why it was skipped or failed.", max_length=120)),
                ("due_at", models.DateTimeField(help_text="Business time the slot was due.")),
                ("started_at", models.DateTimeField(db_default=apps.trading.models.ClockTimestamp())),
                (
                    "lease_until",
                    models.DateTimeField(
                        help_text="Database time until which its worker is believed alive.", null=True
                    ),
                ),
                ("deliveries", models.PositiveSmallIntegerField(default=1)),
                ("finished_at", models.DateTimeField(null=True)),
                ("strategy_hash", models.CharField(blank=True, max_length=64)),
                (
                    "snapshot",
                    models.BinaryField(help_text="zlib of the canonical snapshot; replay starts here.", null=True),
                ),
                (
                    "bot",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="cycles",
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
        ),
        migrations.CreateModel(
            name="OrderAttempt",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("PLACE", "Place"), ("CANCEL", "Cancel"), ("MODIFY", "Modify")], max_length=8
                    ),
                ),
                (
                    "purpose",
                    models.CharField(
                        choices=[
                            ("ENTRY", "ENTRY"),
                            ("EXIT", "EXIT"),
                            ("SIP", "SIP"),
                            ("MANUAL", "MANUAL"),
                            ("FLATTEN", "FLATTEN"),
                        ],
                        max_length=8,
                    ),
                ),
                ("fence", models.BigIntegerField()),
                ("permitted_at", models.DateTimeField(db_default=apps.trading.models.ClockTimestamp())),
                ("permit_until", models.DateTimeField()),
                (
                    "process",
                    models.CharField(
                        help_text="host:pid:start of the gateway process that holds the permit.", max_length=120
                    ),
                ),
                ("sent_at", models.DateTimeField(help_text="Database time of the hand-over to the kernel.", null=True)),
                (
                    "closed_at",
                    models.DateTimeField(help_text="Database time from which its socket is known closed.", null=True),
                ),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("OPEN", "Open"),
                            ("NOT_SENT", "Provably not sent"),
                            ("ACCEPTED", "Accepted"),
                            ("REFUSED", "Refused"),
                            ("UNKNOWN", "Unknown"),
                        ],
                        default="OPEN",
                        max_length=8,
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
        ),
        migrations.CreateModel(
            name="AttemptAnswer",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("at", models.DateTimeField(db_default=apps.trading.models.ClockTimestamp())),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("OPEN", "Open"),
                            ("NOT_SENT", "Provably not sent"),
                            ("ACCEPTED", "Accepted"),
                            ("REFUSED", "Refused"),
                            ("UNKNOWN", "Unknown"),
                        ],
                        max_length=8,
                    ),
                ),
                ("broker_order_id", models.CharField(blank=True, max_length=64)),
                ("code", models.CharField(blank=True, max_length=80)),
                ("text", models.CharField(blank=True, max_length=500)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
                (
                    "attempt",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="answers",
                        to="trading.orderattempt",
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="OrderCommand",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("kind", models.CharField(choices=[("CANCEL", "Cancel"), ("MODIFY", "Modify")], max_length=8)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("NEW", "Waiting"),
                            ("SENDING", "On its way"),
                            ("DONE", "Taken by the broker"),
                            ("REFUSED", "Refused by the broker"),
                            ("UNKNOWN", "Outcome unknown"),
                            ("DEAD", "Not needed any more"),
                        ],
                        default="NEW",
                        max_length=8,
                    ),
                ),
                ("state_text", models.CharField(blank=True, max_length=300)),
                ("requested_by", models.CharField(max_length=80)),
                (
                    "terms",
                    models.JSONField(default=dict, help_text="New quantity, limit_price or trigger_price of a MODIFY."),
                ),
                ("fence", models.BigIntegerField(default=0)),
                ("lease_until", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(db_default=apps.trading.models.ClockTimestamp())),
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
        ),
        migrations.AddField(
            model_name="orderattempt",
            name="command",
            field=apps.common.db.TenantForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="attempts",
                to="trading.ordercommand",
            ),
        ),
        migrations.CreateModel(
            name="OrderIntent",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "purpose",
                    models.CharField(
                        choices=[
                            ("ENTRY", "ENTRY"),
                            ("EXIT", "EXIT"),
                            ("SIP", "SIP"),
                            ("MANUAL", "MANUAL"),
                            ("FLATTEN", "FLATTEN"),
                        ],
                        max_length=8,
                    ),
                ),
                ("exit_reason", models.CharField(blank=True, max_length=40)),
                ("intent_key", models.CharField(max_length=160, unique=True)),
                ("client_order_id", models.CharField(max_length=19, unique=True)),
                ("side", models.CharField(choices=[("BUY", "BUY"), ("SELL", "SELL")], max_length=4)),
                (
                    "order_type",
                    models.CharField(
                        choices=[("MARKET", "MARKET"), ("LIMIT", "LIMIT"), ("SL", "SL"), ("SL_M", "SL_M")], max_length=8
                    ),
                ),
                (
                    "product",
                    models.CharField(
                        choices=[("CNC", "CNC"), ("MIS", "MIS"), ("NRML", "NRML")],
                        default=apps.engine.model.choices.Product["CNC"],
                        max_length=4,
                    ),
                ),
                (
                    "validity",
                    models.CharField(
                        choices=[("DAY", "DAY"), ("IOC", "IOC")],
                        default=apps.engine.model.choices.Validity["DAY"],
                        max_length=4,
                    ),
                ),
                ("quantity", models.PositiveIntegerField()),
                ("limit_price", models.DecimalField(decimal_places=4, max_digits=18, null=True)),
                ("trigger_price", models.DecimalField(decimal_places=4, max_digits=18, null=True)),
                ("protection_percent", models.DecimalField(decimal_places=3, max_digits=6, null=True)),
                (
                    "reserved_cash",
                    models.DecimalField(
                        decimal_places=4,
                        default=Decimal("0"),
                        help_text="Rupees held back while it is alive.",
                        max_digits=18,
                    ),
                ),
                ("expires_at", models.DateTimeField(help_text="Business time after which it must not be sent.")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("NEW", "NEW"),
                            ("SENDING", "SENDING"),
                            ("ACCEPTED", "ACCEPTED"),
                            ("PARTIAL", "PARTIAL"),
                            ("FILLED", "FILLED"),
                            ("CANCELLED", "CANCELLED"),
                            ("REJECTED", "REJECTED"),
                            ("EXPIRED", "EXPIRED"),
                            ("UNKNOWN", "UNKNOWN"),
                            ("PARKED", "PARKED"),
                            ("DEAD", "DEAD"),
                        ],
                        default=apps.engine.model.choices.OrderState["NEW"],
                        max_length=12,
                    ),
                ),
                (
                    "state_reason",
                    models.CharField(blank=True, help_text="Code: why it is in this state.", max_length=60),
                ),
                (
                    "state_text",
                    models.CharField(blank=True, help_text="The broker's or our own words for it.", max_length=300),
                ),
                ("state_changed_at", models.DateTimeField(db_default=apps.trading.models.ClockTimestamp())),
                ("fence", models.BigIntegerField(default=0)),
                ("lease_until", models.DateTimeField(null=True)),
                ("broker_order_id", models.CharField(blank=True, max_length=64)),
                ("filled_quantity", models.PositiveIntegerField(default=0, help_text="From booked fills.")),
                (
                    "observed_filled",
                    models.PositiveIntegerField(default=0, help_text="What the order book says; never falls."),
                ),
                ("average_price", models.DecimalField(decimal_places=4, max_digits=18, null=True)),
                ("unknown_since", models.DateTimeField(help_text="Database time.", null=True)),
                (
                    "sockets_closed_at",
                    models.DateTimeField(
                        help_text="Database time from which no byte of it can leave; W counts from here.", null=True
                    ),
                ),
                (
                    "absent_books",
                    models.PositiveSmallIntegerField(
                        default=0, help_text="Complete books begun after W + V without it."
                    ),
                ),
                (
                    "absent_book_at",
                    models.DateTimeField(null=True, help_text="When the last of them was begun, database time."),
                ),
                (
                    "blocks",
                    models.BooleanField(
                        default=True, help_text="Whether it keeps another order of its kind away while it is alive."
                    ),
                ),
                ("created_at", models.DateTimeField(db_default=apps.trading.models.ClockTimestamp())),
                (
                    "bot",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="orders",
                        to="trading.bot",
                    ),
                ),
                (
                    "connection",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="orders",
                        to="brokers.brokerconnection",
                    ),
                ),
                (
                    "cycle",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="orders",
                        to="trading.cyclerun",
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
        ),
        migrations.AddField(
            model_name="ordercommand",
            name="intent",
            field=apps.common.db.TenantForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="commands",
                to="trading.orderintent",
            ),
        ),
        migrations.AddField(
            model_name="orderattempt",
            name="intent",
            field=apps.common.db.TenantForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="attempts",
                to="trading.orderintent",
            ),
        ),
        migrations.CreateModel(
            name="ParameterSet",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("version", models.PositiveIntegerField()),
                ("params", models.JSONField(help_text="apps.engine.model.params.StrategyParams as JSON.")),
                ("limits", models.JSONField(help_text="apps.engine.model.params.RiskLimits as JSON.")),
                ("created_by", models.CharField(max_length=80)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "bot",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="parameter_sets",
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
        ),
        migrations.AddField(
            model_name="cyclerun",
            name="parameters",
            field=apps.common.db.TenantForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="trading.parameterset",
            ),
        ),
        migrations.AddField(
            model_name="bot",
            name="parameters",
            field=apps.common.db.TenantForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="trading.parameterset",
            ),
        ),
        migrations.CreateModel(
            name="PlatformControl",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "scope",
                    models.CharField(
                        choices=[("platform", "Platform"), ("broker", "Broker"), ("strategy", "Strategy version")],
                        max_length=8,
                    ),
                ),
                (
                    "key",
                    models.CharField(
                        blank=True, help_text="Broker code, or strategy@version; empty for platform.", max_length=60
                    ),
                ),
                ("drained_epoch", models.BigIntegerField(default=0)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("scope", "key"), name="platform_control_once")],
            },
        ),
        migrations.CreateModel(
            name="PlatformStopRequest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
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
                    "epoch",
                    models.BigIntegerField(
                        db_default=models.Func(
                            models.Value("arun_stop_epoch"), function="nextval", output_field=models.BigIntegerField()
                        ),
                        unique=True,
                    ),
                ),
                ("requested_by", models.CharField(max_length=80)),
                ("reason", models.CharField(max_length=200)),
                ("requested_at", models.DateTimeField(db_default=apps.trading.models.ClockTimestamp())),
            ],
            options={
                "indexes": [models.Index(fields=["scope", "key", "-epoch"], name="platform_stop_newest")],
            },
        ),
        migrations.CreateModel(
            name="Position",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("quantity", models.PositiveIntegerField(default=0, help_text="Shares still held.")),
                (
                    "average_price",
                    models.DecimalField(
                        decimal_places=4,
                        default=Decimal("0"),
                        help_text="Rupees per share, entries only.",
                        max_digits=18,
                    ),
                ),
                (
                    "realized_pnl",
                    models.DecimalField(
                        decimal_places=4,
                        default=Decimal("0"),
                        help_text="Rupees, after charges of the shares sold.",
                        max_digits=18,
                    ),
                ),
                (
                    "charges",
                    models.DecimalField(
                        decimal_places=4, default=Decimal("0"), help_text="Rupees of all its fills.", max_digits=18
                    ),
                ),
                (
                    "entry_charges",
                    models.DecimalField(
                        decimal_places=4,
                        default=Decimal("0"),
                        help_text="Rupees that buying the open shares cost.",
                        max_digits=18,
                    ),
                ),
                (
                    "highest_price",
                    models.DecimalField(
                        decimal_places=4, help_text="Highest price seen since entry.", max_digits=18, null=True
                    ),
                ),
                (
                    "stop_price",
                    models.DecimalField(
                        decimal_places=4,
                        help_text="The customer's own stop; empty: by the rule.",
                        max_digits=18,
                        null=True,
                    ),
                ),
                (
                    "target_price",
                    models.DecimalField(
                        decimal_places=4,
                        help_text="The customer's own target; empty: by the rule.",
                        max_digits=18,
                        null=True,
                    ),
                ),
                ("opened_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(null=True)),
                (
                    "bot",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="positions",
                        to="trading.bot",
                    ),
                ),
                (
                    "connection",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="positions",
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
        ),
        migrations.AddField(
            model_name="orderintent",
            name="position",
            field=apps.common.db.TenantForeignKey(
                db_constraint=False,
                help_text="What an exit sells.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="exits",
                to="trading.position",
            ),
        ),
        migrations.CreateModel(
            name="Fill",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("broker", models.CharField(max_length=20)),
                ("account_ref", models.CharField(max_length=64)),
                ("trade_id", models.CharField(max_length=64)),
                ("side", models.CharField(choices=[("BUY", "BUY"), ("SELL", "SELL")], max_length=4)),
                ("quantity", models.PositiveIntegerField()),
                ("price", models.DecimalField(decimal_places=4, max_digits=18)),
                ("charges", models.DecimalField(decimal_places=4, max_digits=18)),
                ("traded_at", models.DateTimeField()),
                (
                    "traded_on",
                    models.DateField(help_text="The exchange's date: trade numbers start again each day."),
                ),
                ("booked_at", models.DateTimeField(db_default=apps.trading.models.ClockTimestamp())),
                (
                    "connection",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="fills",
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
                (
                    "intent",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="fills",
                        to="trading.orderintent",
                    ),
                ),
                (
                    "position",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="fills",
                        to="trading.position",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PriceLevel",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position_id", models.UUIDField()),
                ("bot_id", models.UUIDField()),
                ("kind", models.CharField(help_text="The exit rule the level belongs to.", max_length=40)),
                (
                    "direction",
                    models.CharField(choices=[("BELOW", "At or below"), ("ABOVE", "At or above")], max_length=5),
                ),
                ("price", models.DecimalField(decimal_places=4, max_digits=18)),
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="RunControl",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("scope", models.CharField(choices=[("bot", "Bot"), ("tenant", "Account")], max_length=8)),
                ("scope_id", models.UUIDField()),
                (
                    "drained_epoch",
                    models.BigIntegerField(default=0, help_text="The last stop whose drain held this row alone."),
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
        ),
        migrations.CreateModel(
            name="StopRequest",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("scope", models.CharField(choices=[("bot", "Bot"), ("tenant", "Account")], max_length=8)),
                ("scope_id", models.UUIDField()),
                (
                    "level",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "RUNNING"), (1, "PAUSE_ENTRIES"), (2, "STOP"), (3, "FLATTEN"), (4, "REVOKE")]
                    ),
                ),
                (
                    "epoch",
                    models.BigIntegerField(
                        db_default=models.Func(
                            models.Value("arun_stop_epoch"), function="nextval", output_field=models.BigIntegerField()
                        ),
                        unique=True,
                    ),
                ),
                (
                    "request_id",
                    models.UUIDField(help_text="From the form: a second press of the same button is the same request."),
                ),
                ("requested_by", models.CharField(max_length=80)),
                ("reason", models.CharField(blank=True, max_length=200)),
                ("requested_at", models.DateTimeField(db_default=apps.trading.models.ClockTimestamp())),
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
        ),
        migrations.CreateModel(
            name="StopEscalation",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("at", models.DateTimeField(db_default=apps.trading.models.ClockTimestamp())),
                ("step", models.CharField(max_length=40)),
                ("data", models.JSONField(default=dict)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
                (
                    "stop",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="escalations",
                        to="trading.stoprequest",
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="StopAcknowledgement",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("acknowledged_at", models.DateTimeField(db_default=apps.trading.models.ClockTimestamp())),
                ("in_flight", models.JSONField(default=list, help_text="Orders that had left before, by name.")),
                ("cancelled", models.JSONField(default=list, help_text="Working orders that are being cancelled.")),
                ("flattening", models.JSONField(default=list, help_text="Positions that are being sold.")),
                (
                    "superseded_by",
                    models.BigIntegerField(help_text="Epoch of a later request of the same scope.", null=True),
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
                (
                    "stop",
                    apps.common.db.TenantOneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="acknowledgement",
                        to="trading.stoprequest",
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.AddField(
            model_name="orderintent",
            name="stop",
            field=apps.common.db.TenantForeignKey(
                db_constraint=False,
                help_text="The stop a FLATTEN carries.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="orders",
                to="trading.stoprequest",
            ),
        ),
        migrations.AddField(
            model_name="ordercommand",
            name="stop",
            field=apps.common.db.TenantForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="commands",
                to="trading.stoprequest",
            ),
        ),
        migrations.CreateModel(
            name="BookRead",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("started_at", models.DateTimeField(help_text="Database time before the first byte was asked for.")),
                ("finished_at", models.DateTimeField(db_default=apps.trading.models.ClockTimestamp())),
                ("complete", models.BooleanField()),
                ("orders", models.PositiveIntegerField(default=0)),
                ("trades", models.PositiveIntegerField(default=0)),
                ("error", models.CharField(blank=True, max_length=300)),
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
                "indexes": [models.Index(fields=["tenant", "connection", "-started_at"], name="book_read_by_time")],
            },
        ),
        migrations.CreateModel(
            name="Decision",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("BUY", "BUY"),
                            ("SELL", "SELL"),
                            ("HOLD", "HOLD"),
                            ("WAIT", "WAIT"),
                            ("BLOCKED", "BLOCKED"),
                        ],
                        max_length=12,
                    ),
                ),
                ("reason", models.CharField(max_length=48)),
                ("numbers", models.JSONField(default=dict)),
                ("order", models.JSONField(help_text="The proposed order, when there is one.", null=True)),
                ("decided_at", models.DateTimeField(help_text="Business time of the snapshot.")),
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
                    "cycle",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="decisions",
                        to="trading.cyclerun",
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
                "indexes": [models.Index(fields=["tenant", "bot", "-decided_at"], name="decision_by_time")],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "cycle", "instrument"), name="decision_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="EntryFreeze",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("UNKNOWN_ORDER", "An order's outcome is unknown"),
                            ("DEAD_ORDER_SEEN", "An order believed absent turned up"),
                            ("POSITION_DIFFERS", "The broker holds another quantity"),
                            ("OUTSIDE_ORDER", "An order of unknown origin carries our mark"),
                            ("CORPORATE_ACTION", "A corporate action is being checked"),
                        ],
                        max_length=20,
                    ),
                ),
                ("data", models.JSONField(default=dict)),
                ("frozen_at", models.DateTimeField(db_default=apps.trading.models.ClockTimestamp())),
                ("cleared_at", models.DateTimeField(null=True)),
                ("cleared_by", models.CharField(blank=True, max_length=80)),
                (
                    "connection",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="freezes",
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
                        condition=models.Q(("cleared_at", None)),
                        fields=("tenant", "connection", "instrument", "reason"),
                        name="freeze_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="InstrumentConfig",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("is_enabled", models.BooleanField(default=True)),
                (
                    "baseline_quantity",
                    models.PositiveIntegerField(
                        default=0, help_text="Shares the customer held before the bot came. Never sold."
                    ),
                ),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "bot",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="instruments",
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
                    models.UniqueConstraint(fields=("tenant", "connection", "instrument"), name="instrument_one_bot")
                ],
            },
        ),
        migrations.CreateModel(
            name="OrderEvent",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("at", models.DateTimeField(db_default=apps.trading.models.ClockTimestamp())),
                ("from_state", models.CharField(blank=True, max_length=12)),
                ("to_state", models.CharField(blank=True, max_length=12)),
                ("fence", models.BigIntegerField()),
                ("cause", models.CharField(max_length=40)),
                ("data", models.JSONField(default=dict)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
                (
                    "intent",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="events",
                        to="trading.orderintent",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["tenant", "intent", "at"], name="order_event_by_time")],
            },
        ),
        migrations.AddIndex(
            model_name="orderattempt",
            index=models.Index(condition=models.Q(("outcome", "OPEN")), fields=["tenant"], name="attempt_open"),
        ),
        migrations.AddConstraint(
            model_name="orderattempt",
            constraint=models.UniqueConstraint(
                fields=("tenant", "intent", "command", "fence"), name="attempt_once_per_fence", nulls_distinct=False
            ),
        ),
        migrations.AddConstraint(
            model_name="orderattempt",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "PLACE"), models.Q(("outcome", "NOT_SENT"), _negated=True)),
                fields=("tenant", "intent"),
                name="attempt_one_place",
            ),
        ),
        migrations.AddConstraint(
            model_name="parameterset",
            constraint=models.UniqueConstraint(fields=("tenant", "bot", "version"), name="parameter_version_once"),
        ),
        migrations.AddIndex(
            model_name="cyclerun",
            index=models.Index(fields=["tenant", "bot", "-due_at"], name="cycle_by_time"),
        ),
        migrations.AddConstraint(
            model_name="cyclerun",
            constraint=models.UniqueConstraint(fields=("tenant", "bot", "slot"), name="cycle_slot_once"),
        ),
        migrations.AddConstraint(
            model_name="bot",
            constraint=models.UniqueConstraint(
                condition=models.Q(("archived_at", None)), fields=("tenant", "name"), name="bot_name_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="bot",
            constraint=models.CheckConstraint(
                condition=models.Q(("allocated_capital__gt", 0)), name="bot_capital_positive"
            ),
        ),
        migrations.AddIndex(
            model_name="position",
            index=models.Index(fields=["tenant", "bot", "-opened_at"], name="position_by_time"),
        ),
        migrations.AddConstraint(
            model_name="position",
            constraint=models.UniqueConstraint(
                condition=models.Q(("closed_at", None)),
                fields=("tenant", "connection", "instrument"),
                name="position_one_open",
            ),
        ),
        migrations.AddIndex(
            model_name="fill",
            index=models.Index(fields=["tenant", "-traded_at"], name="fill_by_time"),
        ),
        migrations.AddConstraint(
            model_name="fill",
            constraint=models.UniqueConstraint(
                fields=("broker", "account_ref", "instrument", "traded_on", "trade_id"), name="fill_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="fill",
            constraint=models.CheckConstraint(
                condition=models.Q(("price__gt", 0), ("quantity__gt", 0)), name="fill_positive"
            ),
        ),
        migrations.AddConstraint(
            model_name="pricelevel",
            constraint=models.UniqueConstraint(fields=("tenant", "position_id", "kind"), name="price_level_once"),
        ),
        migrations.AddConstraint(
            model_name="runcontrol",
            constraint=models.UniqueConstraint(fields=("tenant", "scope", "scope_id"), name="run_control_once"),
        ),
        migrations.AddIndex(
            model_name="stoprequest",
            index=models.Index(fields=["tenant", "scope", "scope_id", "-epoch"], name="stop_newest"),
        ),
        migrations.AddConstraint(
            model_name="stoprequest",
            constraint=models.UniqueConstraint(fields=("tenant", "request_id"), name="stop_request_once"),
        ),
        migrations.AddIndex(
            model_name="orderintent",
            index=models.Index(fields=["tenant", "connection", "-created_at"], name="order_by_time"),
        ),
        migrations.AddIndex(
            model_name="orderintent",
            index=models.Index(
                condition=models.Q(("state__in", ["NEW", "SENDING", "ACCEPTED", "PARTIAL", "UNKNOWN", "PARKED"])),
                fields=["tenant", "connection"],
                name="order_live",
            ),
        ),
        migrations.AddConstraint(
            model_name="orderintent",
            constraint=models.CheckConstraint(condition=models.Q(("quantity__gt", 0)), name="order_quantity_positive"),
        ),
        migrations.AddConstraint(
            model_name="orderintent",
            constraint=models.CheckConstraint(
                condition=models.Q(("filled_quantity__lte", models.F("quantity"))), name="order_not_overfilled"
            ),
        ),
        migrations.AddConstraint(
            model_name="orderintent",
            constraint=models.CheckConstraint(
                condition=models.Q(("side", "BUY"), ("position__isnull", False), _connector="OR"),
                name="order_sell_names_position",
            ),
        ),
        migrations.AddConstraint(
            model_name="orderintent",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("blocks", True),
                    ("side", "BUY"),
                    ("state__in", ["NEW", "SENDING", "ACCEPTED", "PARTIAL", "UNKNOWN", "PARKED"]),
                ),
                fields=("tenant", "connection", "instrument"),
                name="order_one_live_entry",
            ),
        ),
        migrations.AddConstraint(
            model_name="orderintent",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("blocks", True),
                    ("side", "SELL"),
                    ("state__in", ["NEW", "SENDING", "ACCEPTED", "PARTIAL", "UNKNOWN", "PARKED"]),
                ),
                fields=("tenant", "position"),
                name="order_one_live_exit",
            ),
        ),
        migrations.AddConstraint(
            model_name="ordercommand",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["NEW", "SENDING"])),
                fields=("tenant", "intent", "kind"),
                name="command_one_live",
            ),
        ),
        SecureSharedTable("PriceLevel", app="SELECT, INSERT, UPDATE, DELETE", others={"arun_dispatch": "SELECT"}),
        SecureTenantTable("Bot", references=False),
        SecureTenantTable("ParameterSet", append_only=True, references=False),
        SecureTenantTable("InstrumentConfig", references=False),
        SecureTenantTable("RunControl", references=False),
        SecureTenantTable("StopRequest", append_only=True, references=False),
        SecureTenantTable("StopAcknowledgement", append_only=True, references=False),
        SecureTenantTable("StopEscalation", append_only=True, references=False),
        SecureTenantTable("CycleRun", references=False),
        SecureTenantTable("Decision", append_only=True, references=False),
        SecureTenantTable("Position", references=False),
        SecureTenantTable("OrderIntent", references=False),
        SecureTenantTable("OrderEvent", append_only=True, references=False),
        SecureTenantTable("OrderCommand", references=False),
        SecureTenantTable("OrderAttempt", references=False),
        SecureTenantTable("AttemptAnswer", append_only=True, references=False),
        SecureTenantTable("Fill", append_only=True, references=False),
        SecureTenantTable("AccountState", references=False),
        SecureTenantTable("BookRead", append_only=True, references=False),
        SecureTenantTable("EntryFreeze", references=False),
        ReferenceTenantTables("Bot"),
        ReferenceTenantTables("ParameterSet"),
        ReferenceTenantTables("InstrumentConfig"),
        ReferenceTenantTables("RunControl"),
        ReferenceTenantTables("StopRequest"),
        ReferenceTenantTables("StopAcknowledgement"),
        ReferenceTenantTables("StopEscalation"),
        ReferenceTenantTables("CycleRun"),
        ReferenceTenantTables("Decision"),
        ReferenceTenantTables("Position"),
        ReferenceTenantTables("OrderIntent"),
        ReferenceTenantTables("OrderEvent"),
        ReferenceTenantTables("OrderCommand"),
        ReferenceTenantTables("OrderAttempt"),
        ReferenceTenantTables("AttemptAnswer"),
        ReferenceTenantTables("Fill"),
        ReferenceTenantTables("AccountState"),
        ReferenceTenantTables("BookRead"),
        ReferenceTenantTables("EntryFreeze"),
        AppendOnlyTable("PlatformStopRequest"),
        migrations.RunSQL(
            ORDER_MOVES, "DROP TRIGGER order_moves ON trading_orderintent; DROP FUNCTION arun_check_order_move()"
        ),
        migrations.RunSQL(PLATFORM_ROW, migrations.RunSQL.noop),
    ]
