"""The paper venue's own tables. They live in the `sandbox` database and know nothing of the platform's tenants."""

import uuid
from decimal import Decimal

from django.db import models
from django.db.models import Q

from apps.sandbox.choices import WORKING, AccountVenue, FaultKind, FaultScope, OrderStatus


class PriceField(models.DecimalField):  # type: ignore[type-arg]
    """Rupees per share."""

    def __init__(self, **options: object) -> None:
        super().__init__(**({"max_digits": 14, "decimal_places": 4} | options))  # type: ignore[arg-type]


class MoneyField(models.DecimalField):  # type: ignore[type-arg]
    """Rupees."""

    def __init__(self, **options: object) -> None:
        super().__init__(**({"max_digits": 18, "decimal_places": 2} | options))  # type: ignore[arg-type]


class Account(models.Model):
    """A paper account. Its row is the lock of everything that happens in it."""

    ref = models.CharField(max_length=40, unique=True)
    venue = models.CharField(max_length=8, choices=AccountVenue)
    opening_cash = MoneyField()
    cash = MoneyField()
    is_logged_in = models.BooleanField(default=True)
    session_no = models.PositiveIntegerField(default=1, help_text="Grows with each logout; late requests compare it.")
    logged_out_ns = models.BigIntegerField(
        db_default=0, help_text="Wall clock of the last logout; a write that was made before it is refused."
    )
    fill_limit = models.PositiveIntegerField(
        null=True, help_text="Most shares that an order gets in one second; 0 lets nothing fill."
    )
    slippage_bps = models.DecimalField(max_digits=6, decimal_places=2, default=Decimal(2))
    opened_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.ref


class Order(models.Model):
    """An accepted order. The tag is the sender's and is never used to recognise a repetition."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="orders")
    request_id = models.UUIDField(unique=True)
    tag = models.CharField(max_length=40, blank=True)
    exchange = models.CharField(max_length=8)
    tradingsymbol = models.CharField(max_length=32)
    side = models.CharField(max_length=4)
    order_type = models.CharField(max_length=8)
    product = models.CharField(max_length=4)
    validity = models.CharField(max_length=4)
    quantity = models.PositiveIntegerField()
    filled_quantity = models.PositiveIntegerField(default=0)
    average_price = PriceField(null=True)
    turnover = PriceField(max_digits=20, default=Decimal(0), help_text="Rupees traded so far.")
    charges = MoneyField(default=Decimal(0))
    limit_price = PriceField(null=True)
    trigger_price = PriceField(null=True)
    worst_price = PriceField(help_text="The price that funds are held back for; caps a protected market order.")
    is_triggered = models.BooleanField(default=False)
    status = models.CharField(max_length=16, choices=OrderStatus)
    reject_reason = models.CharField(max_length=200, blank=True)
    accepted_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    recorded_at = models.DateTimeField(help_text="When the venue wrote the last change down; later after an outage.")
    expires_at = models.DateTimeField()
    matched_until = models.BigIntegerField(help_text="Unix second up to which prices were matched.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(filled_quantity__lte=models.F("quantity")), name="sandbox_order_not_overfilled"
            ),
            models.CheckConstraint(
                condition=Q(status=OrderStatus.COMPLETE, filled_quantity=models.F("quantity"))
                | ~Q(status=OrderStatus.COMPLETE),
                name="sandbox_order_complete_is_filled",
            ),
        ]
        indexes = [
            models.Index(fields=["account"], condition=Q(status__in=WORKING), name="sandbox_order_working"),
            models.Index(fields=["account", "recorded_at"], name="sandbox_order_book"),
        ]

    def __str__(self) -> str:
        return f"{self.broker_order_id} {self.side} {self.quantity} {self.tradingsymbol}"

    @property
    def broker_order_id(self) -> str:
        return f"P{self.pk:09d}"

    @property
    def pending_quantity(self) -> int:
        return self.quantity - self.filled_quantity


class OrderEvent(models.Model):
    """One change of an order, append-only: what the book showed from `recorded_at` on."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="events")
    at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    status = models.CharField(max_length=16, choices=OrderStatus)
    quantity = models.PositiveIntegerField()
    filled_quantity = models.PositiveIntegerField()
    average_price = PriceField(null=True)
    limit_price = PriceField(null=True)
    trigger_price = PriceField(null=True)

    class Meta:
        indexes = [models.Index(fields=["order", "id"], name="sandbox_event_order")]

    def __str__(self) -> str:
        return f"{self.order_id}: {self.status} {self.filled_quantity}/{self.quantity}"


class Trade(models.Model):
    """One execution, append-only."""

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="trades")
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="trades")
    exchange = models.CharField(max_length=8)
    tradingsymbol = models.CharField(max_length=32)
    side = models.CharField(max_length=4)
    product = models.CharField(max_length=4)
    quantity = models.PositiveIntegerField()
    price = PriceField()
    charges = MoneyField()
    at = models.DateTimeField()
    traded_on = models.DateField(help_text="Date in India.")
    recorded_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["account", "recorded_at"], name="sandbox_trade_book"),
            models.Index(fields=["account", "traded_on"], name="sandbox_trade_day"),
        ]

    def __str__(self) -> str:
        return f"{self.trade_id} {self.side} {self.quantity} {self.tradingsymbol} @ {self.price}"

    @property
    def trade_id(self) -> str:
        return f"T{self.pk:09d}"


class Lot(models.Model):
    """The shares of one instrument that an account owns, bought today or earlier, at their average cost."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="lots")
    exchange = models.CharField(max_length=8)
    tradingsymbol = models.CharField(max_length=32)
    quantity = models.PositiveIntegerField()
    average_price = PriceField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "exchange", "tradingsymbol"], name="sandbox_lot_once")
        ]

    def __str__(self) -> str:
        return f"{self.quantity} {self.tradingsymbol}"


class Fault(models.Model):
    """A switch that spoils requests of one account: the next n of them, or each with a probability."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="faults")
    kind = models.CharField(max_length=16, choices=FaultKind)
    scope = models.CharField(max_length=8, choices=FaultScope, default=FaultScope.WRITE)
    remaining = models.PositiveIntegerField(null=True, help_text="Hits left; null: as `probability` says, for ever.")
    probability = models.FloatField(null=True)
    seed = models.BigIntegerField(default=0)
    drawn = models.PositiveIntegerField(default=0, help_text="Requests looked at; with `seed` it makes each draw.")
    seconds = models.FloatField(default=0)
    status = models.PositiveSmallIntegerField(default=502)
    accept = models.BooleanField(default=False)
    text = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(remaining__isnull=False, probability__isnull=True)
                | Q(remaining__isnull=True, probability__gte=0, probability__lte=1),
                name="sandbox_fault_next_or_chance",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} on {self.account_id}"


class LateRequest(models.Model):
    """A write that was read but is carried out only at `due_at`; survives a restart in between."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="late_requests")
    session_no = models.PositiveIntegerField()
    method = models.CharField(max_length=8)
    broker_order_id = models.CharField(max_length=16, blank=True)
    body = models.JSONField()
    due_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.method} for {self.account_id}"


class RecordedShare(models.Model):
    """A share of a real market that has prices here because somebody loaded a recording of them."""

    exchange = models.CharField(max_length=8)
    tradingsymbol = models.CharField(max_length=32)
    tick_size = PriceField()
    lot_size = models.PositiveIntegerField()
    version = models.CharField(max_length=40, help_text="The recording in force; empty: none, and so no prices.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["exchange", "tradingsymbol"], name="sandbox_recorded_share_once")
        ]

    def __str__(self) -> str:
        return f"{self.exchange}:{self.tradingsymbol}"


class RecordedBar(models.Model):
    """One bar of a recording, between two Unix seconds."""

    share = models.ForeignKey(RecordedShare, on_delete=models.CASCADE, related_name="bars", db_index=False)
    version = models.CharField(max_length=40)
    opens = models.BigIntegerField()
    closes = models.BigIntegerField()
    open = PriceField()
    high = PriceField()
    low = PriceField()
    close = PriceField()
    volume = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["share", "version", "opens"], name="sandbox_recorded_bar_once"),
            models.CheckConstraint(condition=Q(closes__gt=models.F("opens")), name="sandbox_recorded_bar_ends"),
        ]

    def __str__(self) -> str:
        return f"{self.share_id} {self.opens}"
