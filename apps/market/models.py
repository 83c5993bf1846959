"""What is traded, when, and at what prices. Global tables: they hold nothing of any tenant."""

from decimal import Decimal

from django.db import models

from apps.common.ids import uuid7
from apps.engine.model.choices import ChargeClass, MarketPhase, Timeframe
from apps.market.choices import (
    TRADE_TO_TRADE_SERIES,
    BarFault,
    ChangeKind,
    DayKind,
    Exchange,
    FeedId,
    Listing,
    SessionClass,
    Surveillance,
    TermKind,
)


def _prices() -> "models.DecimalField[Decimal, Decimal]":
    return models.DecimalField(max_digits=14, decimal_places=4)


class Instrument(models.Model):
    """One share, fund or index on one exchange."""

    class Kind(models.TextChoices):
        EQ = "EQ", "Share"
        ETF = "ETF", "Exchange-traded fund"
        INDEX = "INDEX", "Index"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    exchange = models.CharField(max_length=8, choices=Exchange)
    tradingsymbol = models.CharField(max_length=32)
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=8, choices=Kind)
    series = models.CharField(max_length=4, blank=True, help_text="The exchange's series, such as EQ; blank if none.")
    isin = models.CharField(max_length=12, blank=True)
    tick_size = models.DecimalField(max_digits=10, decimal_places=4, help_text="Smallest price step in rupees.")
    lot_size = models.PositiveIntegerField(default=1, help_text="Smallest number of shares in an order.")
    freeze_quantity = models.PositiveIntegerField(null=True, blank=True, help_text="Most shares one order may have.")
    session_class = models.CharField(max_length=16, choices=SessionClass, default=SessionClass.CASH_ONLY)
    charge_class = models.CharField(
        max_length=16,
        choices=[(item.value, item.value) for item in ChargeClass],
        default=ChargeClass.SHARE.value,
        help_text="How the transaction tax sees it.",
    )
    sector = models.CharField(max_length=60, blank=True, help_text="What sector limits group by; blank if not known.")
    listing = models.CharField(max_length=12, choices=Listing, default=Listing.LISTED)
    surveillance = models.CharField(
        max_length=12, choices=Surveillance, default=Surveillance.UNKNOWN, blank=True, db_default=""
    )
    surveillance_stage = models.PositiveSmallIntegerField(null=True, blank=True)
    lower_band = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    upper_band = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    bands_on = models.DateField(null=True, blank=True, help_text="The trading date the circuit band is of.")
    source = models.CharField(max_length=60, blank=True, help_text="Where these facts come from.")
    facts_on = models.DateField(null=True, blank=True, help_text="The day the source describes.")
    feed = models.CharField(max_length=16, choices=FeedId, default=FeedId.NONE)
    is_simulated = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["exchange", "tradingsymbol"], name="instrument_once"),
            models.CheckConstraint(condition=models.Q(tick_size__gt=0), name="instrument_tick_size_positive"),
            models.CheckConstraint(condition=models.Q(lot_size__gte=1), name="instrument_lot_size_positive"),
            models.CheckConstraint(
                condition=models.Q(is_simulated=True, exchange=Exchange.SIM)
                | (models.Q(is_simulated=False) & ~models.Q(exchange=Exchange.SIM)),
                name="instrument_simulated_is_sim",
            ),
            models.CheckConstraint(
                condition=models.Q(is_active=False) | models.Q(listing=Listing.LISTED),
                name="instrument_active_is_listed",
            ),
            models.CheckConstraint(
                condition=models.Q(lower_band=None, upper_band=None, bands_on=None)
                | models.Q(lower_band__gt=0, upper_band__gt=models.F("lower_band"), bands_on__isnull=False),
                name="instrument_band_whole",
            ),
        ]
        indexes = [models.Index(fields=["isin"], name="instrument_by_isin")]

    def __str__(self) -> str:
        return f"{self.exchange}:{self.tradingsymbol}"

    @property
    def share_id(self) -> str:
        """Return what is equal for the same share on different exchanges."""
        return self.isin or f"{self.exchange}:{self.tradingsymbol}"

    @property
    def is_trade_to_trade(self) -> bool:
        """Return whether every trade must be delivered, so that nothing can be sold before it has arrived."""
        return self.series in TRADE_TO_TRADE_SERIES

    @property
    def is_under_surveillance(self) -> bool | None:
        """Return whether the exchange has a measure on the share; None if no source says."""
        if self.surveillance == Surveillance.UNKNOWN:
            return None
        return self.surveillance != Surveillance.NONE


class FormerSymbol(models.Model):
    """A symbol that an instrument had. Whoever holds the instrument's id follows it through every rename."""

    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="former_symbols")
    exchange = models.CharField(max_length=8, choices=Exchange)
    tradingsymbol = models.CharField(max_length=32)
    name = models.CharField(max_length=120, blank=True)
    valid_from = models.DateField(null=True, blank=True, help_text="First trading date under it; empty if not known.")
    valid_to = models.DateField(null=True, blank=True, help_text="Last trading date under it; empty if not known.")
    source = models.CharField(max_length=60)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["instrument", "tradingsymbol"], name="former_symbol_once"),
        ]
        indexes = [models.Index(fields=["exchange", "tradingsymbol"], name="former_symbol_by_name")]

    def __str__(self) -> str:
        return f"{self.exchange}:{self.tradingsymbol}"


class IndexMember(models.Model):
    """A share's membership in an index, by trading date. An index without any row for a date is not known then."""

    index_name = models.CharField(max_length=32)
    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="index_memberships")
    valid_from = models.DateField()
    valid_to = models.DateField(
        null=True, blank=True, help_text="Last trading date as a member; empty while it is one."
    )
    source = models.CharField(max_length=60)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["index_name", "instrument", "valid_from"], name="index_member_once"),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id} in {self.index_name}"


class InstrumentTerm(models.Model):
    """A word an instrument is found by: lower case letters and digits only. Made anew whenever a name changes."""

    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="terms", db_index=False)
    kind = models.CharField(max_length=16, choices=TermKind)
    term = models.CharField(max_length=60)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["instrument", "kind", "term"], name="instrument_term_once")]
        # Prefixes are looked up by LIKE, which a plain index serves in the C collation alone.
        indexes = [models.Index(fields=["term"], name="instrument_term_prefix", opclasses=["varchar_pattern_ops"])]

    def __str__(self) -> str:
        return self.term


class Candle(models.Model):
    """One completed bar of one feed, stored once for all tenants. `opened_at` is the bar's start."""

    feed = models.CharField(
        max_length=80, help_text="A platform feed's name, or that of one connection: no other tenant reads it."
    )
    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="candles", db_index=False)
    timeframe = models.CharField(max_length=4, choices=[(item.value, item.value) for item in Timeframe])
    opened_at = models.DateTimeField()
    open = _prices()
    high = _prices()
    low = _prices()
    close = _prices()
    volume = models.BigIntegerField(null=True, help_text="Shares; empty where the source has none.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["feed", "instrument", "timeframe", "opened_at"], name="candle_once")
        ]
        indexes = [models.Index(fields=["timeframe", "opened_at"], name="candle_by_age")]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.timeframe} {self.opened_at:%Y-%m-%d %H:%M:%S}"


class QuarantinedCandle(models.Model):
    """A bar that a feed gave and that was not believed. It is kept to be looked at and feeds nothing."""

    feed = models.CharField(max_length=80)
    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="+", db_index=False)
    timeframe = models.CharField(max_length=4)
    stamp = models.DateTimeField(help_text="As the feed wrote it.")
    fault = models.CharField(max_length=16, choices=BarFault)
    row = models.CharField(max_length=160, help_text="Open, high, low, close and volume as they came.")
    times = models.PositiveIntegerField(default=1)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["feed", "instrument", "timeframe", "stamp", "fault"], name="quarantine_once"
            )
        ]
        indexes = [models.Index(fields=["last_seen_at"], name="quarantine_by_age")]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.stamp:%Y-%m-%d %H:%M:%S}: {self.fault}"


class Recording(models.Model):
    """Prices of the past that are played again on later trading dates. The newest one of an instrument counts."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="recordings")
    timeframe = models.CharField(max_length=4, choices=[(item.value, item.value) for item in Timeframe])
    label = models.CharField(max_length=120, help_text="What the prices are, as people read it.")
    recorded_from = models.DateField()
    recorded_to = models.DateField()
    played_from = models.DateField(help_text="Trading date on which the first recorded one is played.")
    played_to = models.DateField()
    starts_on = models.DateField(
        help_text="Trading date from which the recording is played; what lies before is history."
    )
    bars = models.PositiveIntegerField()
    is_active = models.BooleanField(default=True)
    loaded_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instrument"], condition=models.Q(is_active=True), name="recording_one_active"
            ),
        ]

    def __str__(self) -> str:
        return self.label


class RecordedBar(models.Model):
    """One bar of a recording: when it is played, and when it was recorded."""

    recording = models.ForeignKey(Recording, on_delete=models.CASCADE, related_name="+", db_index=False)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField()
    recorded_at = models.DateTimeField(help_text="The start of the bar when it happened.")
    open = _prices()
    high = _prices()
    low = _prices()
    close = _prices()
    volume = models.BigIntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["recording", "opened_at"], name="recorded_bar_once")]

    def __str__(self) -> str:
        return f"{self.recording_id} {self.opened_at:%Y-%m-%d %H:%M:%S}"


class MarketSession(models.Model):
    """One phase of one trading date of an exchange, in UTC. A date without rows is a date without trading."""

    exchange = models.CharField(max_length=8, choices=Exchange)
    session_class = models.CharField(max_length=16, choices=SessionClass)
    on = models.DateField(help_text="Trading date in the exchange's own zone.")
    phase = models.CharField(max_length=16, choices=[(item.value, item.value) for item in MarketPhase])
    opens_at = models.DateTimeField()
    closes_at = models.DateTimeField()
    source = models.CharField(max_length=40, help_text="'file' for the project's data file, 'staff' for an edit.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["exchange", "session_class", "phase", "opens_at"], name="market_session_once"
            ),
            models.CheckConstraint(condition=models.Q(closes_at__gt=models.F("opens_at")), name="market_session_ends"),
        ]
        indexes = [models.Index(fields=["exchange", "on"], name="market_session_by_date")]

    def __str__(self) -> str:
        return f"{self.exchange} {self.on} {self.phase}"


class MarketDay(models.Model):
    """A date that breaks the weekly pattern, and why: what the calendar says when somebody asks about it."""

    exchange = models.CharField(max_length=8, choices=Exchange)
    on = models.DateField()
    kind = models.CharField(max_length=16, choices=DayKind)
    name = models.CharField(max_length=120)
    source = models.CharField(max_length=40)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["exchange", "on"], name="market_day_once")]

    def __str__(self) -> str:
        return f"{self.exchange} {self.on} {self.name}"


class MarketChange(models.Model):
    """What a person or a file brought into these tables, with its counts. Append-only: the market's audit log."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=16, choices=ChangeKind)
    actor = models.CharField(max_length=80)
    subject = models.CharField(max_length=120, help_text="The file's name, or what was changed.")
    content_hash = models.CharField(max_length=64, help_text="SHA-256 of the file or of the entry.")
    counts = models.JSONField()
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["-at"], name="market_change_newest")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"


class RejectedRow(models.Model):
    """A row of a file that was left out, and why. Append-only."""

    change = models.ForeignKey(MarketChange, on_delete=models.PROTECT, related_name="rejected")
    line = models.PositiveIntegerField(help_text="Line of the file; the header is line 1.")
    field = models.CharField(max_length=40)
    expected = models.CharField(max_length=200)
    got = models.CharField(max_length=200)
    text = models.CharField(max_length=500, help_text="The row as it came.")

    def __str__(self) -> str:
        return f"line {self.line}: {self.field}"
