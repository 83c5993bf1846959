"""What the market's tables say of a share for filters and for the night; what they do not say stays unknown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
import redis

from apps.brokers.port import Candle as Bar
from apps.brokers.port import InstrumentRef
from apps.common.db import tenant_scope
from apps.engine.cycle import decide
from apps.engine.model.choices import Action, Mode, Reason, Sizing, Timeframe
from apps.engine.model.params import StrategyParams
from apps.engine.model.snapshot import CycleSnapshot, FilterFacts, Overnight
from apps.market.feeds.port import CandleRequest
from apps.market.models import Candle, IndexMember, Instrument
from apps.market.quotes import CachedQuote, last_quotes, quotes_refresh
from apps.trading.claims import Opened, slot_open
from apps.trading.cycle import _hold_corporate_actions, _market_facts, _terms
from apps.trading.filter_facts import filter_facts, night_denial, overnight_facts
from apps.trading.models import EntryFreeze
from apps.trading.slots import due_name
from apps.trading.snapshots import MarketFacts, cycle_snapshot
from tests.engine.builders import an_item, decided
from tests.kit.clock import FakeClock
from tests.kit.factories.trading import TradingTenant, make_instrument
from tests.kit.feeds import FakeFeed

from .conftest import NOW, make_buyer

ON = date(2026, 11, 22)
OWN = "conn:1:2"
"""The feed of a connection that brings its own prices."""


@pytest.fixture
def share(db: None) -> Instrument:
    return make_instrument("SIMALPHA")


def facts(share: Instrument, *, own: str = "", **params: object) -> FilterFacts:
    wanted = StrategyParams(**params)  # type: ignore[arg-type]
    return filter_facts(wanted, [share], own=own, now=NOW)[share.pk]


def days(share: Instrument, count: int, *, newest: int = 1, close: str = "100", volume: int | None = 1000) -> None:
    """Store daily candles, the newest of them so many days old."""
    Candle.objects.bulk_create(
        Candle(
            feed=share.feed,
            instrument=share,
            timeframe="1d",
            opened_at=NOW - timedelta(days=newest + offset),
            open=1,
            high=1,
            low=1,
            close=Decimal(close),
            volume=volume,
        )
        for offset in range(count)
    )


def test_what_no_table_says_is_unknown(share: Instrument) -> None:
    said = facts(share, only_nifty50=True, index_above_average=True, minimum_turnover=Decimal(1))

    assert said == FilterFacts(can_be_sold_later=True)


def test_usual_day_is_of_twenty_daily_candles(share: Instrument) -> None:
    days(share, 25)

    said = facts(share, minimum_turnover=Decimal(1))

    assert (said.day_turnover, said.day_volume) == (Decimal("100000.00"), 1000)
    assert facts(share).day_volume is None  # no filter asks


@pytest.mark.parametrize("stored", [{"count": 19}, {"count": 25, "newest": 12}, {"count": 25, "volume": None}])
def test_usual_day_of_too_few_old_or_silent_days_is_unknown(share: Instrument, stored: dict[str, int]) -> None:
    days(share, **stored)

    assert facts(share, maximum_volume_percent=Decimal(1)).day_volume is None


def test_another_feeds_days_are_not_this_shares(share: Instrument) -> None:
    days(share, 25)
    Instrument.objects.filter(pk=share.pk).update(feed="replay")
    share.refresh_from_db()

    assert facts(share, minimum_turnover=Decimal(1)).day_turnover is None


@pytest.mark.parametrize(
    ("valid_from", "valid_to", "member"),
    [
        (date(2026, 9, 30), None, True),
        (date(2026, 9, 30), ON, True),
        (date(2026, 9, 30), date(2026, 11, 21), False),
        (date(2026, 11, 23), None, False),
    ],
)
def test_membership_is_that_of_the_date(
    share: Instrument, valid_from: date, valid_to: date | None, member: bool
) -> None:
    listed = {"index_name": "NIFTY 50", "source": "test"}
    IndexMember.objects.create(instrument=make_instrument("SIMBETA"), valid_from=date(2026, 1, 1), **listed)
    IndexMember.objects.create(instrument=share, valid_from=valid_from, valid_to=valid_to, **listed)

    assert facts(share, only_nifty50=True).in_nifty50 is member


def test_membership_without_any_list_for_the_date_is_unknown(share: Instrument) -> None:
    IndexMember.objects.create(instrument=share, index_name="NIFTY 100", valid_from=date(2026, 1, 1), source="test")

    assert facts(share, only_nifty50=True).in_nifty50 is None


def test_index_is_its_newest_close_and_its_average_of_two_hundred_days(share: Instrument) -> None:
    index = make_instrument("NIFTY 50")
    Instrument.objects.filter(pk=index.pk).update(kind="INDEX")
    days(index, 199, newest=2, close="100", volume=None)
    few = facts(share, index_above_average=True)
    days(index, 1, newest=1, close="300", volume=None)

    said = facts(share, index_above_average=True)

    assert (few.index_close, few.index_average) == (100, None)
    assert (said.index_close, said.index_average) == (300, Decimal("101.0000"))


@pytest.mark.parametrize(("bands_on", "known"), [(ON, True), (date(2026, 11, 20), False)])
def test_circuit_band_counts_on_its_own_day_only(share: Instrument, bands_on: date, known: bool) -> None:
    Instrument.objects.filter(pk=share.pk).update(lower_band=90, upper_band=110, bands_on=bands_on)
    share.refresh_from_db()

    said = facts(share)

    assert (said.lower_band, said.upper_band) == ((90, 110) if known else (None, None))


@pytest.mark.parametrize(
    ("changes", "own", "can_be_sold"),
    [
        ({"surveillance": "none"}, OWN, True),
        ({"surveillance": "gsm"}, OWN, False),
        ({"surveillance": "asm_short"}, "", False),
        ({"surveillance": ""}, OWN, None),
        ({"surveillance": ""}, "", True),
        ({"surveillance": "none", "series": "BE"}, OWN, False),
        ({"surveillance": "none", "listing": "suspended", "is_active": False}, OWN, False),
    ],
)
def test_what_may_not_be_sold_later_is_said(
    share: Instrument, changes: dict[str, object], own: str, can_be_sold: bool | None
) -> None:
    Instrument.objects.filter(pk=share.pk).update(**changes)
    share.refresh_from_db()

    assert facts(share, own=own).can_be_sold_later is can_be_sold


def test_night_of_a_real_share_has_both_closes(db: None) -> None:
    real = Instrument(exchange="NSE", tradingsymbol="INFY")
    quote = CachedQuote(last_price=Decimal(750), at=NOW, previous_close=Decimal(760))

    night = overnight_facts(real, quote, Decimal(1520), own=OWN)
    unknown = overnight_facts(real, CachedQuote(last_price=Decimal(750), at=NOW), None, own=OWN)

    assert night == Overnight(previous_close=Decimal(760), session_close=Decimal(1520))
    assert unknown == Overnight()
    assert decided(an_item(overnight=night)).reason is Reason.CORPORATE_ACTION
    assert decided(an_item(overnight=unknown)).reason is Reason.FACT_UNKNOWN


def test_night_is_not_asked_about_where_there_is_none(share: Instrument) -> None:
    quote = CachedQuote(last_price=Decimal(750), at=NOW)

    assert overnight_facts(share, quote, Decimal(1), own=OWN) is None
    assert overnight_facts(Instrument(exchange="NSE"), quote, Decimal(1), own="") is None


@pytest.mark.parametrize(
    ("previous_close", "close", "reason"),
    [
        ("100", "100.40", None),
        ("50", "100", Reason.CORPORATE_ACTION),
        (None, "100", Reason.FACT_UNKNOWN),
        ("100", None, Reason.FACT_UNKNOWN),
    ],
)
def test_night_is_judged_before_anything_is_left_at_a_real_broker(
    db: None,
    valkey: "redis.Redis[bytes]",
    monkeypatch: pytest.MonkeyPatch,
    previous_close: str | None,
    close: str | None,
    reason: Reason | None,
) -> None:
    infy = Instrument.objects.create(exchange="NSE", tradingsymbol="INFYX", name="x", kind="EQ", tick_size="0.05")
    morning = datetime(2026, 11, 23, 3, 46, tzinfo=UTC)  # 09:16 on a Monday
    monkeypatch.setattr(
        "apps.market.calendar.session_opened_at", lambda exchange, on: datetime(2026, 11, 23, 3, 45, tzinfo=UTC)
    )
    if close is not None:
        for opened_at, price in ((morning - timedelta(days=2, hours=1), close), (morning, "1")):
            Candle.objects.create(
                feed=OWN, instrument=infy, timeframe="15m", opened_at=opened_at, open=1, high=1, low=1, close=price
            )
    reference = None if previous_close is None else Decimal(previous_close)
    quote = CachedQuote(last_price=Decimal(60), at=morning, previous_close=reference)
    monkeypatch.setattr("apps.trading.filter_facts.last_quotes", lambda ids, own: dict.fromkeys(ids, quote))

    denial = night_denial(infy, timeframe=Timeframe.M15, own=OWN, now=morning)

    assert (None if denial is None else denial.reason) is reason
    assert night_denial(make_instrument("SIMBETA"), timeframe=Timeframe.M15, own="", now=morning) is None


def test_reference_price_of_the_day_is_kept_with_the_quote(
    share: Instrument,
    feed: FakeFeed,
    at_close: FakeClock,
    valkey: "redis.Redis[bytes]",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = feed.quotes

    monkeypatch.setattr(
        feed, "quotes", lambda refs: tuple(replace(each, previous_close=Decimal("99.50")) for each in answer(refs))
    )

    quotes_refresh("simulated", [share])

    assert last_quotes([share.pk])[share.pk].previous_close == Decimal("99.50")


# --- through a cycle --------------------------------------------------------------------------------------------------


@pytest.fixture
def opened(db: None, feed: FakeFeed, at_close: FakeClock, valkey: "redis.Redis[bytes]") -> Callable[..., Opened]:
    def open_slot(tenant: TradingTenant) -> Opened:
        slot = slot_open(bot_id=tenant.bot_id, name=due_name(NOW), now=NOW)
        assert isinstance(slot, Opened)
        return slot

    return open_slot


def _day(request: CandleRequest, ago: int) -> Bar:
    opened_at = request.until - timedelta(days=ago)
    price = Decimal(100)
    return Bar(
        instrument=request.instrument,
        opened_at=opened_at,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=1000,
        is_complete=True,
    )


def test_filter_that_asks_for_days_has_them_fetched_and_is_answered(
    opened: Callable[..., Opened], feed: FakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = feed.candles

    def with_days(requests: Sequence[CandleRequest], timeframe: Timeframe) -> Mapping[InstrumentRef, tuple[Bar, ...]]:
        if timeframe is not Timeframe.D1:
            return answer(requests, timeframe)
        feed.candle_calls.append((timeframe, tuple(requests)))  # a simulated day of 86,400 seconds takes too long
        return {request.instrument: tuple(_day(request, offset) for offset in range(30, 0, -1)) for request in requests}

    monkeypatch.setattr(feed, "candles", with_days)
    tenant = make_buyer(minimum_turnover=Decimal(1000), max_entries_per_day=50)
    with tenant_scope(tenant.tenant_id):
        slot = opened(tenant)
    market = _market_facts(slot, NOW)
    with tenant_scope(tenant.tenant_id):
        snapshot = cycle_snapshot(_terms(slot, NOW), market)

    assert Timeframe.D1 in {timeframe for timeframe, _ in feed.candle_calls}
    assert all(held.filters.day_turnover is not None for held in snapshot.instruments)
    assert {each.action for each in decide(snapshot)} == {Action.BUY}


def test_bot_without_such_a_filter_fetches_no_days(opened: Callable[..., Opened], feed: FakeFeed) -> None:
    tenant = make_buyer()
    with tenant_scope(tenant.tenant_id):
        slot = opened(tenant)

    _market_facts(slot, NOW)

    assert {timeframe for timeframe, _ in feed.candle_calls} == {Timeframe.S15}


def test_restated_share_is_frozen_until_a_person_looks(opened: Callable[..., Opened]) -> None:
    tenant = make_buyer()
    with tenant_scope(tenant.tenant_id):
        slot = opened(tenant)
        snapshot: CycleSnapshot = cycle_snapshot(_terms(slot, NOW), MarketFacts())

        night = Overnight(previous_close=Decimal(50), session_close=Decimal(100))
        first = replace(snapshot.instruments[0], overnight=night)
        decisions = decide(replace(snapshot, instruments=(first, *snapshot.instruments[1:])))
        _hold_corporate_actions(slot, decisions)
        _hold_corporate_actions(slot, decisions)

        frozen = EntryFreeze.objects.get(reason="CORPORATE_ACTION")
        again = cycle_snapshot(_terms(slot, NOW), MarketFacts())

    assert str(frozen.instrument_id) == first.instrument.instrument_id
    assert frozen.data == {"previous_close": "50", "session_close": "100", "change_percent": "-50.00"}
    held = {each.instrument.instrument_id: each.corporate_action_hold for each in again.instruments}
    assert held == {
        each.instrument.instrument_id: each.instrument.instrument_id == first.instrument.instrument_id
        for each in snapshot.instruments
    }


def test_trading_dates_around_the_day_are_read_for_instalments_alone(opened: Callable[..., Opened]) -> None:
    tenant = make_buyer(mode=Mode.SIP, sizing=Sizing.FIXED_AMOUNT, size=Decimal(500))
    other = make_buyer()
    with tenant_scope(tenant.tenant_id):
        snapshot = cycle_snapshot(_terms(opened(tenant), NOW), MarketFacts())
    with tenant_scope(other.tenant_id):
        without = cycle_snapshot(_terms(opened(other), NOW), MarketFacts())

    assert (snapshot.previous_trading_on, snapshot.next_trading_on) == (date(2026, 11, 21), date(2026, 11, 23))
    assert (without.previous_trading_on, without.next_trading_on) == (None, None)
