"""What the entry filters and the night's check look at, as far as the market's tables say it.

A fact that no table holds stays None: the engine denies by its name wherever it is asked. Only what the bot's filters
ask for is read.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import F, Q

from apps.engine.indicators.activity import INDEX_DAYS, USUAL_DAYS, UsualDay, average_close, usual_day
from apps.engine.model.candle import Candle as EngineCandle
from apps.engine.model.choices import Timeframe
from apps.engine.model.decision import Denial
from apps.engine.model.params import StrategyParams
from apps.engine.model.snapshot import FilterFacts, Overnight
from apps.engine.risk.corporate_actions import corporate_action_suspected, corporate_action_unknown
from apps.market import calendar
from apps.market.choices import Listing
from apps.market.models import Candle, IndexMember, Instrument
from apps.market.quotes import CachedQuote, last_quotes

NIFTY_50 = "NIFTY 50"
"""The index by the exchange's own name: the symbol of its instrument, and the name its members are listed under."""

_OLDEST_DAY = timedelta(days=10)
"""How old the newest daily candle may be: the longest run of holidays leaves five days between two sessions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Index:
    """The newest close of the index and its long average."""

    close: Decimal | None = None
    average: Decimal | None = None


def needs_daily_candles(params: StrategyParams) -> bool:
    """Return whether a filter of these parameters asks for a share's usual day."""
    return params.minimum_turnover is not None or params.maximum_volume_percent is not None


def filter_facts(
    params: StrategyParams, instruments: Sequence[Instrument], *, own: str, now: datetime
) -> dict[UUID, FilterFacts]:
    """Return what the filters ask of each instrument, on the trading date of `now`.

    `own` is the feed of a connection that brings its own prices, and empty for a paper account.
    """
    if not instruments:
        return {}
    on = calendar.trading_date(instruments[0].exchange, now)
    members = _members(on) if params.only_nifty50 else None
    index = _index(own, now) if params.index_above_average else _Index()
    usual = _usual_days(instruments, own, now) if needs_daily_candles(params) else {}
    return {
        instrument.pk: FilterFacts(
            in_nifty50=None if members is None else instrument.pk in members,
            index_close=index.close,
            index_average=index.average,
            day_turnover=usual[instrument.pk].turnover if instrument.pk in usual else None,
            day_volume=usual[instrument.pk].volume if instrument.pk in usual else None,
            lower_band=instrument.lower_band if instrument.bands_on == on else None,
            upper_band=instrument.upper_band if instrument.bands_on == on else None,
            can_be_sold_later=_can_be_sold_later(instrument, is_real=bool(own)),
        )
        for instrument in instruments
    }


def overnight_facts(
    instrument: Instrument, quote: CachedQuote | None, session_close: Decimal | None, *, own: str
) -> Overnight | None:
    """Return what the night did to a share; None on a market without nights.

    A paper account's prices may come from a source that has no reference price: nothing real is at stake there, so the
    night is then not asked about.
    """
    previous_close = None if quote is None else quote.previous_close
    if instrument.exchange in calendar.ALWAYS_OPEN or (not own and previous_close is None):
        return None
    return Overnight(previous_close=previous_close, session_close=session_close)


def night_denial(instrument: Instrument, *, timeframe: Timeframe, own: str, now: datetime) -> Denial | None:
    """Return why nothing may be left at the broker for a share before somebody has looked at its night, or None.

    What a broker triggers by itself cannot be asked again, so a night that is not known denies as well.
    """
    if instrument.exchange in calendar.ALWAYS_OPEN:
        return None
    opened_at = calendar.session_opened_at(instrument.exchange, calendar.trading_date(instrument.exchange, now))
    closes = closes_before([instrument.pk], timeframe=timeframe, own=own, at=opened_at or now)
    quote = last_quotes([instrument.pk], own=own).get(instrument.pk)
    overnight = overnight_facts(instrument, quote, closes.get(instrument.pk), own=own)
    return corporate_action_suspected(overnight) or corporate_action_unknown(overnight)


def closes_before(
    instrument_ids: Sequence[UUID], *, timeframe: Timeframe, own: str, at: datetime
) -> dict[UUID, Decimal]:
    """Return the close of the last candle before a moment, for each instrument that has one from the days before."""
    if not instrument_ids:
        return {}
    candles = Candle.objects.filter(
        instrument__in=instrument_ids,
        timeframe=timeframe.value,
        opened_at__lt=at,
        opened_at__gte=at - timedelta(days=10),
        feed=own or F("instrument__feed"),
    )
    newest = candles.order_by("instrument_id", "-opened_at").distinct("instrument_id")
    return dict(newest.values_list("instrument_id", "close"))


def _can_be_sold_later(instrument: Instrument, *, is_real: bool) -> bool | None:
    """Return whether what is bought now can be sold by a rule later; None where no source says.

    Under a surveillance measure, and where every trade must be delivered, a sale may be refused or wait for days.
    """
    if instrument.listing != Listing.LISTED or instrument.is_trade_to_trade:
        return False
    if not is_real and instrument.is_under_surveillance is None:
        return True
    return None if instrument.is_under_surveillance is None else not instrument.is_under_surveillance


def _members(on: date) -> frozenset[UUID] | None:
    """Return the members of the Nifty 50 on a date, or None where no list covers it."""
    rows = IndexMember.objects.filter(Q(valid_to=None) | Q(valid_to__gte=on), index_name=NIFTY_50, valid_from__lte=on)
    return frozenset(rows.values_list("instrument_id", flat=True)) or None


def _index(own: str, now: datetime) -> _Index:
    index = Instrument.objects.filter(kind=Instrument.Kind.INDEX, tradingsymbol=NIFTY_50, is_active=True).first()
    if index is None:
        return _Index()
    days = _daily_candles([index], own, now, INDEX_DAYS).get(index.pk, [])
    return _Index(
        close=days[-1].close if days else None,
        average=average_close([day.close for day in days]),
    )


def _usual_days(instruments: Sequence[Instrument], own: str, now: datetime) -> Mapping[UUID, UsualDay]:
    days = {pk: usual_day(candles) for pk, candles in _daily_candles(instruments, own, now, USUAL_DAYS).items()}
    return {pk: usual for pk, usual in days.items() if usual is not None}


def _daily_candles(
    instruments: Sequence[Instrument], own: str, now: datetime, count: int
) -> dict[UUID, list[EngineCandle]]:
    """Return the newest completed daily candles of each instrument, oldest first; none at all if they are old."""
    since = now - timedelta(days=2 * count + 30)
    rows = Candle.objects.filter(
        instrument__in=[instrument.pk for instrument in instruments],
        timeframe=Timeframe.D1.value,
        feed=own or F("instrument__feed"),
        opened_at__gte=since,
        opened_at__lt=now,
    )
    found: dict[UUID, list[EngineCandle]] = defaultdict(list)
    for row in rows.order_by("opened_at"):
        found[row.instrument_id].append(
            EngineCandle(
                opened_at=row.opened_at, open=row.open, high=row.high, low=row.low, close=row.close, volume=row.volume
            )
        )
    return {pk: candles[-count:] for pk, candles in found.items() if now - candles[-1].opened_at <= _OLDEST_DAY}
