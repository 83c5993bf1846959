"""Recorded prices: loaded whole, played on later trading dates, and seen no earlier than they are played."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command

from apps.brokers.errors import BrokerUnavailableError
from apps.brokers.port import InstrumentRef
from apps.common.errors import InvalidInputError
from apps.common.models import PlatformAuditEntry
from apps.engine.model.choices import Reason, Timeframe
from apps.market.choices import FeedId, SessionClass, StampRule
from apps.market.errors import MarketDataError, MislabelledFeedError
from apps.market.feeds.port import CandleRequest
from apps.market.feeds.replay import ReplayFeed
from apps.market.ingest import candles_refresh
from apps.market.models import Candle, Instrument, RecordedBar, Recording
from apps.market.planes import indicator_readings
from apps.market.quotes import quotes_refresh
from apps.market.services.recordings import Source, recording_load, recording_stop
from tests.kit.clock import FakeClock
from tests.kit.market import seed
from tests.market.bars import FILES

IST = ZoneInfo("Asia/Kolkata")
SBIN_15M = "NSE_SBIN_15m_2017-01-10_2017-02-21.csv"
MONDAY = date(2026, 11, 23)
HEADER = "exchange,symbol,timestamp,open,high,low,close,volume\n"


class FakeVenue:
    """Keeps what the paper venue is told."""

    def __init__(self) -> None:
        self.bars: dict[InstrumentRef, list[Sequence[object]]] = {}
        self.is_away = False

    def recording_put(self, instrument: InstrumentRef, *, bars: Sequence[Sequence[object]], **_terms: object) -> None:
        if self.is_away:
            raise BrokerUnavailableError("connection refused")
        self.bars[instrument] = list(bars)


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch) -> FakeVenue:
    fake = FakeVenue()
    monkeypatch.setattr("apps.market.services.recordings.paper_venue", lambda: fake)
    return fake


@pytest.fixture
def sbin(seeded: None, clock: FakeClock, venue: FakeVenue) -> Instrument:
    clock.set(ist("2026-11-23T08:00:00"))
    # Without the closing auction that shares with derivatives have in 2026, every bar of 2017 and of 2026 has room.
    Instrument.objects.filter(exchange="NSE", tradingsymbol="SBIN").update(session_class=SessionClass.CASH_ONLY)
    return Instrument.objects.get(exchange="NSE", tradingsymbol="SBIN")


def ist(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


def source(path: Path, timeframe: Timeframe = Timeframe.M15, stamps: StampRule = StampRule.BAR_END) -> Source:
    return Source(path=path, timeframe=timeframe, stamps=stamps, label="Recorded prices")


def real(name: str) -> Path:
    if not (FILES / name).exists():
        pytest.skip(f"the real prices are not beside the project: no {name}")
    return FILES / name


def load(given: Source, *, starts_on: date = MONDAY) -> dict[str, object]:
    change = recording_load(given, exchange="NSE", tradingsymbol="SBIN", starts_on=starts_on, actor="staff:tester")
    return change.counts


def made(folder: Path, on: Sequence[str], *, minutes: int = 5, **more: str) -> Path:
    """Return a file of whole sessions: the price is the number of the bar, from 100 on."""
    path = folder / "made.csv"
    rows = [HEADER]
    for day, text in enumerate(on):
        first = ist(f"{text}T09:15:00")
        for index in range(375 // minutes):
            price = 100 + day + index / 100
            at = (first + timedelta(minutes=index * minutes)).isoformat()
            rows.append(f"NSE,SBIN,{at},{price},{price + 1},{price - 1},{price},500\n")
    path.write_text("".join(rows) + more.get("tail", ""))
    return path


def test_recording_of_2017_is_played_on_trading_dates_of_2026(sbin: Instrument, venue: FakeVenue) -> None:
    counts = load(source(real(SBIN_15M)))

    recording = Recording.objects.get()
    bars = list(RecordedBar.objects.order_by("opened_at"))
    # The last bar of the file was cut off by the download, the auction rows are no bars.
    assert counts == {
        "played": 727,
        "unreadable": 0,
        "dropped": {"CLOSED": 29, "LAST_OF_FILE": 1},
        "set_aside": {},
        "no_room": 0,
    }
    assert (recording.recorded_from, recording.recorded_to) == (date(2017, 1, 10), date(2017, 2, 21))
    assert (recording.starts_on, recording.bars) == (MONDAY, 727)
    played = sorted({bar.opened_at.astimezone(IST).date() for bar in bars})
    assert played[15] == MONDAY
    assert played[16] == date(2026, 11, 25)  # over the holiday of the 24th
    assert played[14] == date(2026, 11, 20)
    assert {(bar.opened_at - bar.recorded_at).seconds for bar in bars} == {0}  # the same time of the day
    assert len(venue.bars[InstrumentRef("NSE", "SBIN")]) == 727
    sbin.refresh_from_db()
    assert sbin.feed == FeedId.REPLAY
    assert PlatformAuditEntry.objects.get(action="market.recording").data["played"] == 727


def test_bot_reads_the_recording_as_it_is_played(sbin: Instrument, clock: FakeClock) -> None:
    load(source(real(SBIN_15M)))
    now = ist("2026-11-25T10:00:01").astimezone(UTC)
    clock.set(now)

    candles_refresh(FeedId.REPLAY, Timeframe.M15, [sbin], now)
    reading = indicator_readings(FeedId.REPLAY, [sbin], Timeframe.M15, 14, now)[sbin.pk]
    quote = quotes_refresh(FeedId.REPLAY, [sbin])[sbin.pk]

    assert reading.denial is None
    assert reading.candle_opened_at == ist("2026-11-25T09:45:00")
    assert reading.rsi is not None
    bar = RecordedBar.objects.get(opened_at=ist("2026-11-25T09:45:00"))
    following = RecordedBar.objects.get(opened_at=ist("2026-11-25T10:00:00"))
    assert reading.candle_close == bar.close
    assert (quote.last_price, quote.at) == (following.open, now)
    assert not Candle.objects.filter(opened_at__gte=ist("2026-11-25T10:00:00")).exists()


def test_longer_candles_are_made_of_the_recorded_ones(sbin: Instrument, tmp_path: Path, clock: FakeClock) -> None:
    load(source(made(tmp_path, ["2026-10-26", "2026-10-27"]), Timeframe.M5, StampRule.BAR_START))
    clock.set(ist("2026-11-23T09:45:00"))
    request = CandleRequest(
        instrument=InstrumentRef("NSE", "SBIN"), since=ist("2026-11-23T09:15:00"), until=ist("2026-11-23T15:30:00")
    )

    (quarter, second) = ReplayFeed().candles([request], Timeframe.M15)[request.instrument]
    minutes = ReplayFeed().candles([request], Timeframe.M1)

    assert (quarter.opened_at, quarter.open, quarter.close) == (
        ist("2026-11-23T09:15:00"),
        Decimal("101.00"),
        Decimal("101.02"),
    )
    assert (quarter.high, quarter.low, quarter.volume) == (Decimal("102.02"), Decimal("100.00"), 1500)
    assert second.opened_at == ist("2026-11-23T09:30:00")
    assert minutes == {}  # there are no minutes in bars of five


def test_hole_of_a_recording_leaves_an_old_price(sbin: Instrument, tmp_path: Path, clock: FakeClock) -> None:
    path = made(tmp_path, ["2026-10-26", "2026-10-27"])
    kept = [line for line in path.read_text().splitlines() if "2026-10-27T10:0" not in line]
    path.write_text("\n".join(kept) + "\n")
    load(source(path, Timeframe.M5, StampRule.BAR_START))
    clock.set(ist("2026-11-23T10:05:00"))

    (quote,) = ReplayFeed().quotes([InstrumentRef("NSE", "SBIN")])

    assert quote.at == ist("2026-11-23T10:00:00")
    clock.set(ist("2026-11-23T10:20:01"))
    candles_refresh(FeedId.REPLAY, Timeframe.M5, [sbin], clock.at)
    reading = indicator_readings(FeedId.REPLAY, [sbin], Timeframe.M5, 2, clock.at)[sbin.pk]
    assert reading.denial is not None
    assert reading.denial.reason in {Reason.CANDLE_GAP, Reason.INSUFFICIENT_HISTORY}


def test_recording_is_cut_where_the_present_session_is_shorter(sbin: Instrument, tmp_path: Path) -> None:
    Instrument.objects.filter(pk=sbin.pk).update(session_class="derivatives")

    counts = load(source(made(tmp_path, ["2026-07-27", "2026-07-28"]), Timeframe.M5, StampRule.BAR_START))

    assert counts["no_room"] == 6  # until December the share trades continuously to 15:15 only
    last = RecordedBar.objects.order_by("opened_at").last()
    assert last is not None
    assert last.closed_at == ist("2026-11-23T15:15:00")


def test_recording_that_outlasts_the_calendar_is_refused(sbin: Instrument, venue: FakeVenue) -> None:
    with pytest.raises(MarketDataError, match="the recording has 30"):
        load(source(real(SBIN_15M)), starts_on=date(2026, 12, 28))

    assert not Recording.objects.exists()
    assert venue.bars == {}


def test_mislabelled_file_is_refused(sbin: Instrument, venue: FakeVenue) -> None:
    with pytest.raises(MislabelledFeedError):
        load(source(real(SBIN_15M), stamps=StampRule.BAR_START))

    assert not Recording.objects.exists()
    assert venue.bars == {}


def test_unreadable_rows_are_counted_and_named(sbin: Instrument, tmp_path: Path) -> None:
    tail = (
        "NSE,SBIN,yesterday,1,1,1,1,1\n"
        "NSE,SBIN,2026-10-27T15:30:00,1,1,1,1,1\n"
        "NSE,SBIN,2026-10-27T12:00:00+05:30,1,1,1,one,1\n"
        "NSE,SBIN,2026-10-27T15:35:00+05:30,0,1,1,1,1\n"
    )

    change = recording_load(
        source(made(tmp_path, ["2026-10-26", "2026-10-27"], tail=tail), Timeframe.M5, StampRule.BAR_START),
        exchange="NSE",
        tradingsymbol="SBIN",
        starts_on=MONDAY,
        actor="staff:tester",
    )

    assert [(row.line, row.field) for row in change.rejected.order_by("line")] == [
        (152, "timestamp"),
        (153, "timestamp"),
        (154, "close"),
    ]
    assert (change.counts["unreadable"], change.counts["set_aside"]) == (3, {"price": 1})


def test_new_recording_takes_the_place_of_the_old_one(sbin: Instrument, tmp_path: Path, clock: FakeClock) -> None:
    load(source(made(tmp_path, ["2026-10-26", "2026-10-27"]), Timeframe.M5, StampRule.BAR_START))
    clock.set(ist("2026-11-23T12:00:00"))
    candles_refresh(FeedId.REPLAY, Timeframe.M5, [sbin], clock.at)

    load(source(made(tmp_path, ["2026-10-28", "2026-10-29"]), Timeframe.M5, StampRule.BAR_START))

    assert Recording.objects.filter(is_active=True).count() == 1
    assert Recording.objects.count() == 2
    assert RecordedBar.objects.count() == 150
    assert not Candle.objects.filter(instrument=sbin).exists()


def test_venue_that_is_away_leaves_everything_as_it_was(sbin: Instrument, tmp_path: Path, venue: FakeVenue) -> None:
    venue.is_away = True

    with pytest.raises(BrokerUnavailableError):
        load(source(made(tmp_path, ["2026-10-26"]), Timeframe.M5, StampRule.BAR_START))

    sbin.refresh_from_db()
    assert (sbin.feed, Recording.objects.count()) == (FeedId.NONE, 0)


def test_ended_recording_leaves_no_prices(sbin: Instrument, tmp_path: Path, venue: FakeVenue) -> None:
    load(source(made(tmp_path, ["2026-10-26", "2026-10-27"]), Timeframe.M5, StampRule.BAR_START))

    recording_stop(sbin, actor="staff:tester")

    sbin.refresh_from_db()
    assert sbin.feed == FeedId.NONE
    assert not RecordedBar.objects.exists()
    assert venue.bars[InstrumentRef("NSE", "SBIN")] == []
    assert ReplayFeed().quotes([InstrumentRef("NSE", "SBIN")]) == ()


def test_seeding_again_keeps_the_recording(sbin: Instrument, tmp_path: Path) -> None:
    load(source(made(tmp_path, ["2026-10-26", "2026-10-27"]), Timeframe.M5, StampRule.BAR_START))

    seed()

    sbin.refresh_from_db()
    assert sbin.feed == FeedId.REPLAY


def test_file_without_the_instrument_is_refused(sbin: Instrument, tmp_path: Path) -> None:
    path = made(tmp_path, ["2026-10-26"])
    with pytest.raises(InvalidInputError, match="NOSUCH"):
        recording_load(source(path), exchange="NSE", tradingsymbol="NOSUCH", starts_on=MONDAY, actor="staff:tester")
    path.write_text(HEADER)
    with pytest.raises(InvalidInputError, match="rows of NSE:SBIN"):
        load(source(path))
    path.write_text("symbol,close\n")
    with pytest.raises(InvalidInputError, match="columns"):
        load(source(path))


def test_command_loads_lists_and_ends(sbin: Instrument, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = made(tmp_path, ["2026-10-26", "2026-10-27"])

    call_command("replay_feed", "load", str(path), "--timeframe=5m", "--stamps=bar_start", "--by=tester")
    call_command("replay_feed", "list")

    out = capsys.readouterr().out
    assert "NSE:SBIN 5m recorded 2026-10-26 to 2026-10-27, played 2026-11-20 to 2026-11-23, 150 bars" in out
    call_command("replay_feed", "stop", "NSE", "SBIN", "--by=tester")
    assert not Recording.objects.filter(is_active=True).exists()
    with pytest.raises(CommandError, match="NOSUCH"):
        call_command("replay_feed", "stop", "NSE", "NOSUCH", "--by=tester")
    with pytest.raises(CommandError, match="bar_end"):
        call_command("replay_feed", "load", str(path), "--timeframe=5m", "--stamps=bar_end", "--by=tester")
