"""Bots, decisions, orders, fills and positions: the tables in which the order protocol is written down.

Every state of an order is guarded twice, by `apps.engine.execution.states` and by a trigger in the database that knows
the same arrows. No order, fill or decision is ever deleted: a wrong turn stays readable.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Now

from apps.common.db import TenantForeignKey, TenantModel, TenantOneToOneField
from apps.engine.execution.states import FINAL
from apps.engine.model import choices as words


def choices_of(enum: type[StrEnum]) -> list[tuple[str, str]]:
    """Return Django choices of one of the engine's closed sets."""
    return [(member.value, member.value) for member in enum]


class ClockTimestamp(Func):
    """PostgreSQL's clock at this statement; `Now()` is the start of the transaction."""

    template = "clock_timestamp()"
    output_field = models.DateTimeField()


def money(**options: Any) -> "models.DecimalField[Any, Any]":
    """Return a field of rupees, or rupees per share, to four decimals."""
    return models.DecimalField(max_digits=18, decimal_places=4, **options)


LIVE_STATES = [str(state) for state in words.OrderState if state not in FINAL and state is not words.OrderState.DEAD]
IN_FLIGHT_STATES = [str(words.OrderState.SENDING), str(words.OrderState.UNKNOWN), str(words.OrderState.PARKED)]


class Bot(TenantModel):
    """One strategy on one broker connection, over a list of instruments."""

    connection = TenantForeignKey("brokers.BrokerConnection", related_name="bots")
    name = models.CharField(max_length=80)
    strategy = models.CharField(max_length=40, default="rsi_reversion")
    strategy_version = models.PositiveIntegerField(default=1)
    parameters = TenantForeignKey("trading.ParameterSet", null=True, related_name="+")
    allocated_capital = money(help_text="Rupees the bot may have in positions.")
    created_at = models.DateTimeField(db_default=Now())
    archived_at = models.DateTimeField(null=True, blank=True)
    keeps_stop_at_broker = models.BooleanField(
        default=True, help_text="Whether a stop order is left at the broker for each position, where the broker can."
    )
    keeps_hours = models.BooleanField(
        db_default=False, default=False, help_text="Whether it starts and pauses by the calendar of its market."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="bot_name_once", condition=Q(archived_at=None)),
            models.CheckConstraint(condition=Q(allocated_capital__gt=0), name="bot_capital_positive"),
        ]

    def __str__(self) -> str:
        return self.name


class ParameterSet(TenantModel):
    """One version of a bot's parameters and risk limits; a decision names the version it used. Append-only."""

    bot = TenantForeignKey(Bot, related_name="parameter_sets")
    version = models.PositiveIntegerField()
    params = models.JSONField(help_text="apps.engine.model.params.StrategyParams as JSON.")
    limits = models.JSONField(help_text="apps.engine.model.params.RiskLimits as JSON.")
    created_by = models.CharField(max_length=80)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "bot", "version"], name="parameter_version_once")]

    def __str__(self) -> str:
        return f"version {self.version}"


class TenantLimits(TenantModel):
    """One version of the limits of the whole account, over all its bots. The newest is in force. Append-only."""

    version = models.PositiveIntegerField()
    limits = models.JSONField(help_text="apps.engine.model.params.RiskLimits as JSON.")
    created_by = models.CharField(max_length=80)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "version"], name="tenant_limits_version_once")]

    def __str__(self) -> str:
        return f"account limits, version {self.version}"


class InstrumentConfig(TenantModel):
    """An instrument that a bot watches. One bot per (connection, instrument)."""

    bot = TenantForeignKey(Bot, related_name="instruments")
    connection = TenantForeignKey("brokers.BrokerConnection", related_name="+")
    instrument = models.ForeignKey("market.Instrument", on_delete=models.PROTECT, related_name="+")
    is_enabled = models.BooleanField(default=True)
    baseline_quantity = models.PositiveIntegerField(
        default=0, help_text="Shares the customer held before the bot came. Never sold."
    )
    overrides = models.JSONField(default=dict, help_text="apps.trading.overrides: parameters it has of its own.")
    limits = models.JSONField(default=dict, help_text="apps.trading.overrides: limits it has of its own.")
    settings_version = models.PositiveIntegerField(default=0, help_text="InstrumentVersion it stands at; 0: none yet.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "connection", "instrument"], name="instrument_one_bot"),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id} of {self.bot_id}"


class InstrumentVersion(TenantModel):
    """How a share was set up from a moment on; a decision names the version it used. Append-only.

    Numbered by connection and instrument, also across a removal and a move to another bot.
    """

    bot = TenantForeignKey(Bot, related_name="+")
    connection = TenantForeignKey("brokers.BrokerConnection", related_name="+")
    instrument = models.ForeignKey("market.Instrument", on_delete=models.PROTECT, related_name="+")
    version = models.PositiveIntegerField()
    is_enabled = models.BooleanField()
    is_removed = models.BooleanField(default=False)
    baseline_quantity = models.PositiveIntegerField()
    overrides = models.JSONField(default=dict)
    limits = models.JSONField(default=dict)
    created_by = models.CharField(max_length=80)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "instrument", "version"], name="instrument_version_once"
            ),
        ]

    def __str__(self) -> str:
        return f"version {self.version} of {self.instrument_id}"


class InstrumentImport(TenantModel):
    """An uploaded list of shares as ARUN read it: what is saved later is what was shown, not another upload."""

    bot = TenantForeignKey(Bot, null=True, related_name="+", help_text="Empty while the bot is not made yet.")
    file_name = models.CharField(max_length=120)
    report = models.JSONField(help_text="apps.trading.services.instrument_import.ImportReport as JSON.")
    uploaded_by = models.CharField(max_length=80)
    uploaded_at = models.DateTimeField(help_text="Business time.")
    expires_at = models.DateTimeField(help_text="Business time after which it cannot be saved and is deleted.")
    saved_at = models.DateTimeField(null=True, help_text="Business time.")
    saved_by = models.CharField(max_length=80, blank=True)
    result = models.JSONField(null=True, help_text="What saving it did.")

    class Meta:
        indexes = [models.Index(fields=["tenant", "expires_at"], name="import_by_expiry")]

    def __str__(self) -> str:
        return f"import of {self.file_name}"


# --- run control ------------------------------------------------------------------------------------------------------


class RunControl(TenantModel):
    """The row that every send of a scope share-locks for its last step, and that a drain locks alone."""

    class Scope(models.TextChoices):
        BOT = "bot", "Bot"
        TENANT = "tenant", "Account"

    scope = models.CharField(max_length=8, choices=Scope)
    scope_id = models.UUIDField()
    drained_epoch = models.BigIntegerField(default=0, help_text="The last stop whose drain held this row alone.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "scope", "scope_id"], name="run_control_once")]

    def __str__(self) -> str:
        return f"{self.scope} {self.scope_id}"


class PlatformControl(models.Model):
    """The same for scopes above the tenants. Global: it holds no tenant's data."""

    class Scope(models.TextChoices):
        PLATFORM = "platform", "Platform"
        BROKER = "broker", "Broker"
        STRATEGY = "strategy", "Strategy version"

    scope = models.CharField(max_length=8, choices=Scope)
    key = models.CharField(max_length=60, blank=True, help_text="Broker code, or strategy@version; empty for platform.")
    drained_epoch = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "key"], name="platform_control_once")]

    def __str__(self) -> str:
        return f"{self.scope} {self.key}".strip()


RANDOM_UUID = Func(function="gen_random_uuid", output_field=models.UUIDField())
STOP_EPOCH = Func(Value("arun_stop_epoch"), function="nextval", output_field=models.BigIntegerField())


class StopRequest(TenantModel):
    """A change of run level, in force from its commit. Append-only: the newest epoch of a scope is its level."""

    scope = models.CharField(max_length=8, choices=RunControl.Scope)
    scope_id = models.UUIDField()
    level = models.PositiveSmallIntegerField(choices=[(level.value, level.name) for level in words.RunLevel])
    epoch = models.BigIntegerField(db_default=STOP_EPOCH, unique=True)
    request_id = models.UUIDField(help_text="From the form: a second press of the same button is the same request.")
    requested_by = models.CharField(max_length=80)
    reason = models.CharField(max_length=200, blank=True)
    requested_at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "request_id"], name="stop_request_once")]
        indexes = [models.Index(fields=["tenant", "scope", "scope_id", "-epoch"], name="stop_newest")]

    def __str__(self) -> str:
        return f"{words.RunLevel(self.level).name} of {self.scope} {self.scope_id}"


class StopAcknowledgement(TenantModel):
    """The answer to a stop: nothing that its level forbids leaves any more, and this was on its way. Append-only."""

    stop = TenantOneToOneField(StopRequest, related_name="acknowledgement")
    acknowledged_at = models.DateTimeField(db_default=ClockTimestamp())
    in_flight = models.JSONField(default=list, help_text="Orders that had left before, by name.")
    cancelled = models.JSONField(default=list, help_text="Working orders that are being cancelled.")
    flattening = models.JSONField(default=list, help_text="Positions that are being sold.")
    superseded_by = models.BigIntegerField(null=True, help_text="Epoch of a later request of the same scope.")

    def __str__(self) -> str:
        return f"acknowledgement of {self.stop_id}"


class StopEscalation(TenantModel):
    """A drain that could not be proven in time, and what was done about it. Append-only."""

    stop = TenantForeignKey(StopRequest, related_name="escalations")
    at = models.DateTimeField(db_default=ClockTimestamp())
    step = models.CharField(max_length=40)
    data = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.step} for {self.stop_id}"


class PlatformStopRequest(models.Model):
    """A change of run level above the tenants: platform, broker or strategy version. Global and append-only."""

    scope = models.CharField(max_length=8, choices=PlatformControl.Scope)
    key = models.CharField(max_length=60, blank=True)
    level = models.PositiveSmallIntegerField(choices=[(level.value, level.name) for level in words.RunLevel])
    epoch = models.BigIntegerField(db_default=STOP_EPOCH, unique=True)
    request_id = models.UUIDField(unique=True, db_default=RANDOM_UUID, help_text="As in a StopRequest.")
    requested_by = models.CharField(max_length=80)
    approved_by = models.CharField(max_length=80, blank=True, help_text="The second person, where one is needed.")
    reason = models.CharField(max_length=200, help_text="Customers read it.")
    requested_at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(approved_by=F("requested_by")), name="platform_stop_two_people"),
            models.CheckConstraint(condition=Q(level__lt=3) | ~Q(approved_by=""), name="platform_stop_approved"),
        ]
        indexes = [models.Index(fields=["scope", "key", "-epoch"], name="platform_stop_newest")]

    def __str__(self) -> str:
        return f"{words.RunLevel(self.level).name} of {self.scope} {self.key}".strip()

    @property
    def scope_id(self) -> str:
        """What a StopRequest calls the id of its scope."""
        return self.key


class PlatformStopProgress(models.Model):
    """How far a drain above the tenants has come, and which gateway is at it. Numbers only; it proves nothing."""

    stop = models.OneToOneField(
        PlatformStopRequest, on_delete=models.PROTECT, primary_key=True, related_name="progress"
    )
    lease_until = models.DateTimeField(null=True, help_text="Database time until which a drain is at work.")
    lease_by = models.UUIDField(null=True)
    tenants = models.PositiveIntegerField(default=0, help_text="Accounts to look at.")
    settled = models.PositiveIntegerField(default=0, help_text="Accounts in which it is proven.")
    looked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.settled} of {self.tenants} for {self.stop_id}"


class PlatformStopAcknowledgement(models.Model):
    """The answer to a stop above the tenants: proven in every account. It counts; names stay with their tenants."""

    stop = models.OneToOneField(PlatformStopRequest, on_delete=models.PROTECT, related_name="acknowledgement")
    acknowledged_at = models.DateTimeField(db_default=ClockTimestamp())
    tenants = models.PositiveIntegerField(default=0, help_text="Accounts with a bot in the scope.")
    in_flight = models.PositiveIntegerField(default=0)
    cancelled = models.PositiveIntegerField(default=0)
    flattening = models.PositiveIntegerField(default=0)
    superseded_by = models.BigIntegerField(null=True, help_text="Epoch of a later request of the same scope.")

    def __str__(self) -> str:
        return f"acknowledgement of {self.stop_id}"


class PlatformStopEscalation(models.Model):
    """A drain above the tenants that could not be proven in time. Global and append-only: it names processes only."""

    stop = models.ForeignKey(PlatformStopRequest, on_delete=models.PROTECT, related_name="escalations")
    at = models.DateTimeField(db_default=ClockTimestamp())
    step = models.CharField(max_length=40)
    data = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.step} for {self.stop_id}"


class PlatformStopEffect(TenantModel):
    """What a stop above the tenants found and did in this account. Written once it is proven here; append-only."""

    stop = models.ForeignKey(PlatformStopRequest, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=ClockTimestamp())
    in_flight = models.JSONField(default=list, help_text="Orders that had left before, by name.")
    cancelled = models.JSONField(default=list, help_text="Working orders that are being cancelled.")
    flattening = models.JSONField(default=list, help_text="Positions that are being sold.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "stop"], name="platform_effect_once")]

    def __str__(self) -> str:
        return f"effect of {self.stop_id}"


class PlatformStopProposal(models.Model):
    """One person's wish for a level above the tenants that needs a second person. Append-only."""

    id = models.UUIDField(primary_key=True, help_text="The request's id, if it becomes one.")
    scope = models.CharField(max_length=8, choices=PlatformControl.Scope)
    key = models.CharField(max_length=60, blank=True)
    level = models.PositiveSmallIntegerField(choices=[(level.value, level.name) for level in words.RunLevel])
    seen_epoch = models.BigIntegerField(help_text="The scope's newest request then; a newer one ends the proposal.")
    proposed_by = models.CharField(max_length=80)
    reason = models.CharField(max_length=200)
    proposed_at = models.DateTimeField(db_default=ClockTimestamp())

    def __str__(self) -> str:
        return f"{words.RunLevel(self.level).name} proposed for {self.scope} {self.key}".strip()


class PlatformStopVerdict(models.Model):
    """What the second person said to a proposal, or that its proposer took it back. Append-only."""

    proposal = models.OneToOneField(PlatformStopProposal, on_delete=models.PROTECT, related_name="verdict")
    is_approved = models.BooleanField()
    decided_by = models.CharField(max_length=80)
    decided_at = models.DateTimeField(db_default=ClockTimestamp())

    def __str__(self) -> str:
        return f"{'approved' if self.is_approved else 'declined'} by {self.decided_by}"


AnyStop = StopRequest | PlatformStopRequest
"""A request of either kind of scope: what an order or a command may carry."""


def carried(stop: AnyStop | None) -> dict[str, AnyStop]:
    """Return the field of an order or a command that names the stop it carries, with its value."""
    if stop is None:
        return {}
    return {"platform_stop" if isinstance(stop, PlatformStopRequest) else "stop": stop}


def platform_stop_name(pk: int) -> str:
    """Return what the run control and an order's key call a request above the tenants; no UUID reads like it."""
    return f"platform-{pk}"


def stop_name(stop: AnyStop) -> str:
    """Return what the run control and an order's key call a request."""
    return platform_stop_name(stop.pk) if isinstance(stop, PlatformStopRequest) else str(stop.pk)


class CarriesStop(models.Model):
    """An order or a command that a stop made: it may leave only while that stop is the newest word of its scope."""

    platform_stop = models.ForeignKey(
        PlatformStopRequest, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )

    class Meta:
        abstract = True

    @property
    def carried_stop(self) -> str | None:
        """The name of the stop it carries, as `ScopeLevel.stop_id` has it."""
        stop_id = getattr(self, "stop_id", None)
        if stop_id is not None:
            return str(stop_id)
        return None if self.platform_stop_id is None else platform_stop_name(self.platform_stop_id)


# --- decisions --------------------------------------------------------------------------------------------------------


class CycleRun(TenantModel):
    """One look of one bot at its market, or the reason why it did not look. Unique by slot."""

    class State(models.TextChoices):
        STARTED = "STARTED", "Running"
        DONE = "DONE", "Done"
        SKIPPED = "SKIPPED", "Skipped"
        FAILED = "FAILED", "Failed"

    bot = TenantForeignKey(Bot, related_name="cycles")
    slot = models.CharField(max_length=80)
    trigger = models.CharField(max_length=8, choices=choices_of(words.Trigger))
    state = models.CharField(max_length=8, choices=State, default=State.STARTED)
    reason = models.CharField(max_length=120, blank=True, help_text="Why it was skipped or failed.")
    due_at = models.DateTimeField(help_text="Business time the slot was due.")
    started_at = models.DateTimeField(db_default=ClockTimestamp())
    lease_until = models.DateTimeField(null=True, help_text="Database time until which its worker is believed alive.")
    deliveries = models.PositiveSmallIntegerField(default=1)
    finished_at = models.DateTimeField(null=True)
    parameters = TenantForeignKey(ParameterSet, null=True, related_name="+")
    tenant_limits_version = models.PositiveIntegerField(
        db_default=0, help_text="TenantLimits that counted beside the bot's own; 0: none were set."
    )
    strategy_hash = models.CharField(max_length=64, blank=True)
    snapshot = models.BinaryField(null=True, help_text="zlib of the canonical snapshot; replay starts here.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "bot", "slot"], name="cycle_slot_once")]
        indexes = [models.Index(fields=["tenant", "bot", "-due_at"], name="cycle_by_time")]

    def __str__(self) -> str:
        return f"{self.slot} {self.state}"


class Decision(TenantModel):
    """What the engine decided for one instrument in one cycle, and from which numbers. Append-only."""

    cycle = TenantForeignKey(CycleRun, related_name="decisions")
    bot = TenantForeignKey(Bot, related_name="+")
    instrument = models.ForeignKey("market.Instrument", on_delete=models.PROTECT, related_name="+")
    action = models.CharField(max_length=12, choices=choices_of(words.Action))
    reason = models.CharField(max_length=48)
    numbers = models.JSONField(default=dict)
    order = models.JSONField(null=True, help_text="The proposed order, when there is one.")
    settings_version = models.PositiveIntegerField(
        default=0, help_text="InstrumentVersion of the share's own settings; 0: the bot's parameters alone."
    )
    decided_at = models.DateTimeField(help_text="Business time of the snapshot.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "cycle", "instrument"], name="decision_once")]
        indexes = [models.Index(fields=["tenant", "bot", "-decided_at"], name="decision_by_time")]

    def __str__(self) -> str:
        return f"{self.action} {self.instrument_id}: {self.reason}"


# --- orders -----------------------------------------------------------------------------------------------------------


class Position(TenantModel):
    """A lot the bot bought: the fold of its fills. Never edited by hand, and never larger than what it bought."""

    connection = TenantForeignKey("brokers.BrokerConnection", related_name="positions")
    bot = TenantForeignKey(Bot, related_name="positions")
    instrument = models.ForeignKey("market.Instrument", on_delete=models.PROTECT, related_name="+")
    quantity = models.PositiveIntegerField(default=0, help_text="Shares still held.")
    average_price = money(default=Decimal(0), help_text="Rupees per share, entries only.")
    realized_pnl = money(default=Decimal(0), help_text="Rupees, after charges of the shares sold.")
    charges = money(default=Decimal(0), help_text="Rupees of all its fills.")
    entry_charges = money(default=Decimal(0), help_text="Rupees that buying the open shares cost.")
    highest_price = money(null=True, help_text="Highest price seen since entry.")
    stop_price = money(null=True, help_text="The customer's own stop; empty: by the rule.")
    target_price = money(null=True, help_text="The customer's own target; empty: by the rule.")
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "instrument"], name="position_one_open", condition=Q(closed_at=None)
            ),
        ]
        indexes = [models.Index(fields=["tenant", "bot", "-opened_at"], name="position_by_time")]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.instrument_id}"


class OrderIntent(TenantModel, CarriesStop):
    """An order, from the wish to the end. `state` moves along `TRANSITIONS` and nowhere else."""

    class Origin(models.TextChoices):
        DECIDED = "DECIDED", "Decided here"
        RECOVERED = "RECOVERED", "Found in the broker's book after this database had forgotten it"

    connection = TenantForeignKey("brokers.BrokerConnection", related_name="orders")
    bot = TenantForeignKey(Bot, related_name="orders")
    instrument = models.ForeignKey("market.Instrument", on_delete=models.PROTECT, related_name="+")
    cycle = TenantForeignKey(CycleRun, null=True, related_name="orders")
    position = TenantForeignKey(Position, null=True, related_name="exits", help_text="What an exit sells.")
    stop = TenantForeignKey(StopRequest, null=True, related_name="orders", help_text="The stop a FLATTEN carries.")
    purpose = models.CharField(max_length=8, choices=choices_of(words.Purpose))
    origin = models.CharField(max_length=10, choices=Origin, default=Origin.DECIDED)
    exit_reason = models.CharField(max_length=40, blank=True)
    # Not led by the tenant: the key names the connection or position, and one order per key holds for the platform.
    intent_key = models.CharField(max_length=160, unique=True)
    client_order_id = models.CharField(max_length=19, unique=True)
    side = models.CharField(max_length=4, choices=choices_of(words.Side))
    order_type = models.CharField(max_length=8, choices=choices_of(words.OrderType))
    product = models.CharField(max_length=4, choices=choices_of(words.Product), default=words.Product.CNC)
    validity = models.CharField(max_length=4, choices=choices_of(words.Validity), default=words.Validity.DAY)
    quantity = models.PositiveIntegerField()
    limit_price = money(null=True)
    trigger_price = money(null=True)
    protection_percent = models.DecimalField(max_digits=6, decimal_places=3, null=True)
    reserved_cash = money(default=Decimal(0), help_text="Rupees held back while it is alive.")
    expires_at = models.DateTimeField(help_text="Business time after which it must not be sent.")

    state = models.CharField(max_length=12, choices=choices_of(words.OrderState), default=words.OrderState.NEW)
    state_reason = models.CharField(max_length=60, blank=True, help_text="Code: why it is in this state.")
    state_text = models.CharField(max_length=300, blank=True, help_text="The broker's or our own words for it.")
    state_changed_at = models.DateTimeField(db_default=ClockTimestamp())
    fence = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    claimed_by = models.CharField(
        max_length=120, db_default="", help_text="host:pid:start of the process it is leased to."
    )
    broker_order_id = models.CharField(max_length=64, blank=True)
    filled_quantity = models.PositiveIntegerField(default=0, help_text="From booked fills.")
    observed_filled = models.PositiveIntegerField(default=0, help_text="What the order book says; never falls.")
    average_price = money(null=True)
    unknown_since = models.DateTimeField(null=True, help_text="Database time.")
    sockets_closed_at = models.DateTimeField(
        null=True, help_text="Database time from which no byte of it can leave; W counts from here."
    )
    absent_books = models.PositiveSmallIntegerField(default=0, help_text="Complete books begun after W + V without it.")
    absent_book_at = models.DateTimeField(null=True, help_text="When the last of them was begun, database time.")
    blocks = models.BooleanField(
        default=True, help_text="Whether it keeps another order of its kind away while it is alive."
    )
    created_at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="order_quantity_positive"),
            models.CheckConstraint(condition=Q(filled_quantity__lte=F("quantity")), name="order_not_overfilled"),
            models.CheckConstraint(
                condition=Q(side="BUY") | Q(position__isnull=False), name="order_sell_names_position"
            ),
            models.CheckConstraint(condition=Q(stop=None) | Q(platform_stop=None), name="order_carries_one_stop"),
            models.UniqueConstraint(
                fields=["tenant", "connection", "instrument"],
                name="order_one_live_entry",
                condition=Q(side="BUY", blocks=True, state__in=LIVE_STATES),
            ),
            models.UniqueConstraint(
                fields=["tenant", "position"],
                name="order_one_live_exit",
                condition=Q(side="SELL", blocks=True, state__in=LIVE_STATES) & ~Q(purpose="PROTECT"),
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "connection", "-created_at"], name="order_by_time"),
            models.Index(fields=["tenant", "-created_at", "-id"], name="order_newest"),
            models.Index(fields=["tenant", "connection"], name="order_live", condition=Q(state__in=LIVE_STATES)),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.side} {self.quantity} {self.state}"

    @property
    def is_final(self) -> bool:
        return words.OrderState(self.state) in FINAL

    @property
    def is_over(self) -> bool:
        """Whether nothing is to be sent for it any more; a DEAD one may still turn up."""
        return self.is_final or self.state == words.OrderState.DEAD


class OrderEvent(TenantModel):
    """One line of an order's history: a move between states, or evidence that moved nothing. Append-only."""

    intent = TenantForeignKey(OrderIntent, related_name="events")
    at = models.DateTimeField(db_default=ClockTimestamp())
    from_state = models.CharField(max_length=12, blank=True)
    to_state = models.CharField(max_length=12, blank=True)
    fence = models.BigIntegerField()
    cause = models.CharField(max_length=40)
    data = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["tenant", "intent", "at"], name="order_event_by_time")]

    def __str__(self) -> str:
        return f"{self.from_state}>{self.to_state} {self.cause}"


class OrderCommand(TenantModel, CarriesStop):
    """A cancel or a modification of a working order, with attempts of its own. A fill always wins over it."""

    class Kind(models.TextChoices):
        CANCEL = "CANCEL", "Cancel"
        MODIFY = "MODIFY", "Modify"

    class State(models.TextChoices):
        NEW = "NEW", "Waiting"
        SENDING = "SENDING", "On its way"
        DONE = "DONE", "Taken by the broker"
        REFUSED = "REFUSED", "Refused by the broker"
        UNKNOWN = "UNKNOWN", "Outcome unknown"
        DEAD = "DEAD", "Not needed any more"

    intent = TenantForeignKey(OrderIntent, related_name="commands")
    kind = models.CharField(max_length=8, choices=Kind)
    state = models.CharField(max_length=8, choices=State, default=State.NEW)
    state_text = models.CharField(max_length=300, blank=True)
    stop = TenantForeignKey(StopRequest, null=True, related_name="commands")
    purpose = models.CharField(
        max_length=8,
        choices=choices_of(words.Purpose),
        blank=True,
        help_text="What a MODIFY makes of the order, when that is another purpose than its own.",
    )
    requested_by = models.CharField(max_length=80)
    terms = models.JSONField(
        default=dict, help_text="New order_type, quantity, limit_price or trigger_price of a MODIFY."
    )
    fence = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "intent", "kind"], name="command_one_live", condition=Q(state__in=["NEW", "SENDING"])
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.state}"


class OrderAttempt(TenantModel):
    """A permit and what became of it: who may hand which bytes over, until when, and when they left."""

    class Outcome(models.TextChoices):
        OPEN = "OPEN", "Open"
        NOT_SENT = "NOT_SENT", "Provably not sent"
        ACCEPTED = "ACCEPTED", "Accepted"
        REFUSED = "REFUSED", "Refused"
        UNKNOWN = "UNKNOWN", "Unknown"

    intent = TenantForeignKey(OrderIntent, related_name="attempts")
    command = TenantForeignKey(OrderCommand, null=True, related_name="attempts")
    kind = models.CharField(max_length=8, choices=[("PLACE", "Place"), ("CANCEL", "Cancel"), ("MODIFY", "Modify")])
    purpose = models.CharField(max_length=8, choices=choices_of(words.Purpose))
    fence = models.BigIntegerField()
    permitted_at = models.DateTimeField(db_default=ClockTimestamp())
    permit_until = models.DateTimeField()
    process = models.CharField(max_length=120, help_text="host:pid:start of the gateway process that holds the permit.")
    sent_at = models.DateTimeField(null=True, help_text="Database time of the hand-over to the kernel.")
    closed_at = models.DateTimeField(null=True, help_text="Database time from which its socket is known closed.")
    outcome = models.CharField(max_length=8, choices=Outcome, default=Outcome.OPEN)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "intent", "command", "fence"], name="attempt_once_per_fence", nulls_distinct=False
            ),
            # A place request leaves at most once in an intent's life unless it provably never left.
            models.UniqueConstraint(
                fields=["tenant", "intent"],
                name="attempt_one_place",
                condition=Q(kind="PLACE") & ~Q(outcome="NOT_SENT"),
            ),
        ]
        indexes = [
            models.Index(fields=["tenant"], name="attempt_open", condition=Q(outcome="OPEN")),
            models.Index(fields=["tenant"], name="attempt_unproven", condition=Q(sent_at=None, closed_at=None)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.outcome}"


class AttemptAnswer(TenantModel):
    """What came back for an attempt, whoever holds the order by then. Append-only, unfenced: evidence is kept."""

    attempt = TenantForeignKey(OrderAttempt, related_name="answers")
    at = models.DateTimeField(db_default=ClockTimestamp())
    outcome = models.CharField(max_length=8, choices=OrderAttempt.Outcome)
    broker_order_id = models.CharField(max_length=64, blank=True)
    code = models.CharField(max_length=80, blank=True)
    text = models.CharField(max_length=500, blank=True)

    def __str__(self) -> str:
        return f"{self.outcome} {self.broker_order_id}"


class ProtectiveOrder(TenantModel):
    """A stop order left at the broker for an open position, so that the position is not naked if ARUN is away.

    The order itself, with its attempts, fills and history, is `intent`; this row says what it is for the position.
    """

    class State(models.TextChoices):
        PLACING = "PLACING", "Being placed"
        STANDING = "STANDING", "Stands at the broker"
        SELLING = "SELLING", "Being sold"
        ENDED = "ENDED", "Over"

    class End(models.TextChoices):
        SOLD = "SOLD", "It sold"
        STOOD_DOWN = "STOOD_DOWN", "Cancelled by ARUN"
        DAY_OVER = "DAY_OVER", "Its day ended"
        DROPPED = "DROPPED", "Dropped by the broker"
        NOT_PLACED = "NOT_PLACED", "Never placed"

    position = TenantForeignKey(Position, related_name="protective_orders")
    intent = TenantOneToOneField(OrderIntent, related_name="protective_order")
    broker_ref = models.CharField(max_length=64, blank=True, help_text="The broker's order id, or the trigger's id.")
    day = models.DateField(help_text="Trading date for which it was placed.")
    expires_at = models.DateTimeField(null=True, help_text="Business time at which the broker ends it; empty: never.")
    trigger_price = money(help_text="Rupees per share, as the broker last showed it.")
    quantity = models.PositiveIntegerField()
    state = models.CharField(max_length=8, choices=State, default=State.PLACING)
    end = models.CharField(max_length=12, choices=End, blank=True)
    seen_at = models.DateTimeField(null=True, help_text="Database time of the last book that showed it.")
    short_since = models.DateTimeField(
        null=True, help_text="Database time of a book in which shares were missing that it may have sold just then."
    )
    created_at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0, trigger_price__gt=0), name="protective_positive"),
            models.CheckConstraint(condition=Q(state="ENDED") ^ Q(end=""), name="protective_end_named"),
        ]
        indexes = [
            models.Index(fields=["tenant", "position", "created_at"], name="protective_by_position"),
        ]

    def __str__(self) -> str:
        return f"stop {self.trigger_price} {self.state}"


class Fill(TenantModel):
    """One trade of the broker's trade book. Append-only; unique by the broker's own trade id."""

    connection = TenantForeignKey("brokers.BrokerConnection", related_name="fills")
    intent = TenantForeignKey(OrderIntent, related_name="fills")
    position = TenantForeignKey(Position, related_name="fills")
    instrument = models.ForeignKey("market.Instrument", on_delete=models.PROTECT, related_name="+")
    broker = models.CharField(max_length=20)
    account_ref = models.CharField(max_length=64)
    trade_id = models.CharField(max_length=64)
    side = models.CharField(max_length=4, choices=choices_of(words.Side))
    quantity = models.PositiveIntegerField()
    price = money()
    charges = money()
    traded_at = models.DateTimeField()
    traded_on = models.DateField(help_text="The exchange's date: trade numbers start again each day.")
    booked_at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        constraints = [
            # Not led by the tenant: one trade of one account is booked once on the whole platform.
            models.UniqueConstraint(
                fields=["broker", "account_ref", "instrument", "traded_on", "trade_id"], name="fill_once"
            ),
            models.CheckConstraint(condition=Q(quantity__gt=0, price__gt=0), name="fill_positive"),
        ]
        indexes = [models.Index(fields=["tenant", "-traded_at"], name="fill_by_time")]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} at {self.price}"


# --- the broker's side, as read ---------------------------------------------------------------------------------------


class AccountState(TenantModel):
    """What is known of a connection's account. Its row lock is short and serializes cash reservations and folds."""

    connection = TenantOneToOneField("brokers.BrokerConnection", related_name="account_state")
    cash = money(null=True, help_text="Deployable rupees by the broker.")
    cash_read_at = models.DateTimeField(null=True, help_text="Database time.")
    reconciled_at = models.DateTimeField(null=True, help_text="Database time of the last complete reconciliation.")
    failing_since = models.DateTimeField(null=True, help_text="Database time since when its books cannot be read.")
    failure = models.CharField(max_length=300, blank=True)
    is_quarantined = models.BooleanField(default=True, help_text="No entry before its books agreed once.")
    timeline = models.CharField(max_length=40, blank=True, help_text="PostgreSQL system and timeline it agreed under.")

    def __str__(self) -> str:
        return f"account of {self.connection_id}"


class BookRead(TenantModel):
    """One reading of a broker's books that failed, or that was made while an outcome was unknown. Append-only."""

    connection = TenantForeignKey("brokers.BrokerConnection", related_name="+")
    started_at = models.DateTimeField(help_text="Database time before the first byte was asked for.")
    finished_at = models.DateTimeField(db_default=ClockTimestamp())
    complete = models.BooleanField()
    orders = models.PositiveIntegerField(default=0)
    trades = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes = [models.Index(fields=["tenant", "connection", "-started_at"], name="book_read_by_time")]

    def __str__(self) -> str:
        return f"book at {self.started_at}"


class EntryFreeze(TenantModel):
    """Why no entry of an instrument is made on a connection. Exits go on."""

    class Reason(models.TextChoices):
        UNKNOWN_ORDER = "UNKNOWN_ORDER", "An order's outcome is unknown"
        DEAD_ORDER_SEEN = "DEAD_ORDER_SEEN", "An order believed absent turned up"
        REFUSED_ORDER_SEEN = "REFUSED_ORDER_SEEN", "An order that was refused is at work"
        POSITION_DIFFERS = "POSITION_DIFFERS", "The broker holds another quantity"
        OUTSIDE_ORDER = "OUTSIDE_ORDER", "An order of unknown origin carries our mark"
        CORPORATE_ACTION = "CORPORATE_ACTION", "A corporate action is being checked"

    connection = TenantForeignKey("brokers.BrokerConnection", related_name="freezes")
    instrument = models.ForeignKey("market.Instrument", on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=20, choices=Reason)
    data = models.JSONField(default=dict)
    frozen_at = models.DateTimeField(db_default=ClockTimestamp())
    cleared_at = models.DateTimeField(null=True)
    cleared_by = models.CharField(max_length=80, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection", "instrument", "reason"],
                name="freeze_once",
                condition=Q(cleared_at=None),
            )
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id}: {self.reason}"


class PriceLevel(models.Model):
    """A price at which an open position wants to be looked at. Written in the fold's own transaction.

    The price watch compares them across tenants under `arun_dispatch`, which may read this table and `work_item` only.
    """

    class Direction(models.TextChoices):
        BELOW = "BELOW", "At or below"
        ABOVE = "ABOVE", "At or above"

    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, related_name="+", db_index=False)
    position_id = models.UUIDField()
    bot_id = models.UUIDField()
    instrument = models.ForeignKey("market.Instrument", on_delete=models.PROTECT, related_name="+")
    feed = models.CharField(
        max_length=80,
        blank=True,
        db_default="",
        help_text="The connection's own feed, whose prices alone count; empty: the instrument's platform feed.",
    )
    kind = models.CharField(max_length=40, help_text="The exit rule the level belongs to.")
    direction = models.CharField(max_length=5, choices=Direction)
    price = money()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "position_id", "kind"], name="price_level_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.direction} {self.price}"


# --- what a person decided about a lot --------------------------------------------------------------------------------


class PositionLevels(TenantModel):
    """One version of a lot's own stop and target, set by a person; empty: by the rule. Append-only."""

    position = TenantForeignKey(Position, related_name="level_versions")
    version = models.PositiveIntegerField()
    stop_price = money(null=True)
    target_price = money(null=True)
    previous_stop_price = money(null=True)
    previous_target_price = money(null=True)
    request_id = models.UUIDField(help_text="From the form: the same form sent twice is one change.")
    changed_by = models.CharField(max_length=80)
    changed_at = models.DateTimeField(help_text="Business time.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "position", "version"], name="levels_version_once"),
            models.UniqueConstraint(fields=["tenant", "request_id"], name="levels_request_once"),
        ]
        indexes = [models.Index(fields=["tenant", "-changed_at"], name="levels_by_time")]

    def __str__(self) -> str:
        return f"levels {self.version} of {self.position_id}"


class OutsideTrade(TenantModel):
    """What a person said about shares that came or went without an order of ours. Append-only.

    A row with a position is folded into it like a fill at the stated price, without charges.
    """

    class Kind(models.TextChoices):
        MINE = "MINE", "The customer's own shares"
        ADOPTED = "ADOPTED", "Given to the bot"
        SOLD = "SOLD", "Of the bot, sold outside"

    connection = TenantForeignKey("brokers.BrokerConnection", related_name="outside_trades")
    bot = TenantForeignKey(Bot, related_name="outside_trades")
    instrument = models.ForeignKey("market.Instrument", on_delete=models.PROTECT, related_name="+")
    position = TenantForeignKey(Position, null=True, related_name="outside_trades")
    kind = models.CharField(max_length=8, choices=Kind)
    quantity = models.IntegerField(help_text="Shares that came, or with a minus went.")
    price = money(null=True, help_text="Rupees per share, as the person stated it.")
    market_price = money(null=True, help_text="The last price at that moment, where one was known.")
    broker_quantity = models.PositiveIntegerField(help_text="What the broker held, as the person saw it.")
    lot_quantity = models.PositiveIntegerField(help_text="The bot's lot before.")
    baseline_quantity = models.PositiveIntegerField(help_text="The customer's own shares before.")
    request_id = models.UUIDField(help_text="From the form: the same form sent twice is one decision.")
    decided_by = models.CharField(max_length=80)
    decided_at = models.DateTimeField(help_text="Business time.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "request_id"], name="outside_request_once"),
            models.CheckConstraint(
                condition=(
                    Q(kind="MINE", position=None, price=None) & ~Q(quantity=0)
                    | Q(kind="ADOPTED", position__isnull=False, price__gt=0, quantity__gt=0)
                    | Q(kind="SOLD", position__isnull=False, price__gt=0, quantity__lt=0)
                ),
                name="outside_whole",
            ),
        ]
        indexes = [models.Index(fields=["tenant", "-decided_at"], name="outside_by_time")]

    def __str__(self) -> str:
        return f"{self.kind} {self.quantity}"


class EquityPoint(TenantModel):
    """What an account was worth at one moment, in rupees. Thinned with age; a moment without all prices has no row."""

    connection = TenantForeignKey("brokers.BrokerConnection", related_name="equity_points")
    at = models.DateTimeField(help_text="Business time.")
    cash = money(help_text="Deployable rupees by the broker.")
    positions_value = money(help_text="The bots' open lots at their last prices.")
    realized_pnl = money(help_text="Of all lots so far, after the charges of the shares sold.")
    unrealized_pnl = money(help_text="Of the open lots, after the charges of buying them.")
    brought_pnl = money(default=Decimal(0), help_text="What adopted shares had gained before they came: no gain here.")
    charges = money(help_text="Of all fills so far.")
    bots = models.JSONField(default=dict, help_text="Gain or loss so far by bot id, as text.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "connection", "at"], name="equity_point_once")]
        indexes = [models.Index(fields=["tenant", "connection", "-at"], name="equity_newest")]

    def __str__(self) -> str:
        return f"{self.equity} at {self.at}"

    @property
    def equity(self) -> Decimal:
        equity: Decimal = self.cash + self.positions_value
        return equity

    @property
    def pnl(self) -> Decimal:
        """Return the gain or loss so far: deposits, withdrawals and adopted shares are none."""
        pnl: Decimal = self.realized_pnl + self.unrealized_pnl - self.brought_pnl
        return pnl
