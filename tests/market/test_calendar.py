"""The calendar's answers; dates and hours are those of the exchanges' circulars, not of the code."""

import csv
import gzip
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from apps.common.errors import InvalidInputError
from apps.common.models import PlatformAuditEntry
from apps.engine.model.choices import MarketPhase, Timeframe
from apps.market.calendar import (
    CandleSpan,
    calendar_warnings,
    candles_ago,
    closed_reason,
    last_candle,
    next_candle,
    next_open,
    phase_at,
    session_opened_at,
    sessions_between,
    trading_date,
)
from apps.market.choices import SessionClass
from apps.market.models import MarketDay, MarketSession
from apps.market.services.calendar import calendar_file_load, calendar_years_ensure
from tests.kit.clock import FakeClock
from tests.kit.market import seed

IST = ZoneInfo("Asia/Kolkata")
DAILY = settings.BASE_DIR.parent / "shared" / "data" / "NSE_SBIN_1d_2020-10-01_2025-09-30.csv.gz"
CASH, DERIVATIVES = SessionClass.CASH_ONLY, SessionClass.WITH_DERIVATIVES


def ist(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


@pytest.mark.parametrize(
    ("at", "session_class", "phase"),
    [
        ("2026-11-16T08:59:59", CASH, MarketPhase.CLOSED),
        ("2026-11-16T09:00:00", CASH, MarketPhase.PRE_OPEN),
        ("2026-11-16T09:09:59", CASH, MarketPhase.PRE_OPEN),  # longer since 2026-09-07
        ("2026-09-04T09:08:00", CASH, MarketPhase.CLOSED),
        ("2026-11-16T09:14:59", CASH, MarketPhase.CLOSED),
        ("2026-11-16T09:15:00", CASH, MarketPhase.CONTINUOUS),
        ("2026-11-16T15:15:00", CASH, MarketPhase.CONTINUOUS),
        ("2026-11-16T15:30:00", CASH, MarketPhase.CLOSED),
        ("2026-11-16T15:50:00", CASH, MarketPhase.POST_CLOSE),
        ("2026-11-16T16:00:00", CASH, MarketPhase.CLOSED),
        ("2026-11-16T15:14:59", DERIVATIVES, MarketPhase.CONTINUOUS),
        ("2026-11-16T15:15:00", DERIVATIVES, MarketPhase.CLOSING_AUCTION),
        ("2026-11-16T15:35:00", DERIVATIVES, MarketPhase.CLOSED),
        ("2026-07-31T15:29:59", DERIVATIVES, MarketPhase.CONTINUOUS),  # before the auction existed
        ("2026-07-31T15:40:00", DERIVATIVES, MarketPhase.POST_CLOSE),
        ("2026-12-07T15:29:59", DERIVATIVES, MarketPhase.CONTINUOUS),
        ("2026-12-07T15:30:00", DERIVATIVES, MarketPhase.CLOSING_AUCTION),
        ("2026-12-25T10:00:00", CASH, MarketPhase.CLOSED),
        ("2026-02-01T10:00:00", CASH, MarketPhase.CONTINUOUS),  # the Budget Sunday
        ("2025-10-21T10:00:00", CASH, MarketPhase.CLOSED),
        ("2025-02-01T10:00:00", CASH, MarketPhase.CONTINUOUS),  # the Budget Saturday
        ("2025-02-01T15:45:00", DERIVATIVES, MarketPhase.POST_CLOSE),
        ("2025-10-21T13:30:00", CASH, MarketPhase.PRE_OPEN),
        ("2025-10-21T13:45:00", CASH, MarketPhase.CONTINUOUS),  # Muhurat
        ("2025-10-21T14:55:00", CASH, MarketPhase.POST_CLOSE),
        ("2025-10-21T14:45:00", CASH, MarketPhase.CLOSED),
        ("2026-11-08T18:30:00", CASH, MarketPhase.CLOSED),  # Muhurat without confirmed hours
        ("2026-11-21T10:00:00", CASH, MarketPhase.CLOSED),  # Saturday
        ("2027-01-04T10:00:00", CASH, MarketPhase.CLOSED),  # no data
    ],
)
def test_phase_of_an_indian_exchange(seeded: None, at: str, session_class: SessionClass, phase: MarketPhase) -> None:
    assert phase_at("NSE", ist(at), session_class) is phase
    assert phase_at("BSE", ist(at), session_class) is phase


@pytest.mark.parametrize("at", ["2026-11-22T03:00:00", "2026-03-31T23:59:59", "2027-01-02T03:00:00"])
def test_simulated_exchange_is_always_open(seeded: None, at: str) -> None:
    assert phase_at("SIM", ist(at)) is MarketPhase.CONTINUOUS
    assert closed_reason("SIM", ist(at)) == ""


def test_unknown_exchange_raises(seeded: None) -> None:
    with pytest.raises(ValueError, match="NYSE"):
        phase_at("NYSE", ist("2026-11-16T10:00:00"))


def test_trading_date_is_the_date_in_india() -> None:
    assert trading_date("NSE", datetime(2026, 11, 15, 18, 29, 59, tzinfo=UTC)) == date(2026, 11, 15)
    assert trading_date("SIM", datetime(2026, 11, 15, 18, 30, 0, tzinfo=UTC)) == date(2026, 11, 16)


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        ("2026-11-16T10:00:00", ""),
        ("2026-11-16T09:05:00", "pre open"),
        ("2026-11-16T18:00:00", "outside trading hours"),
        ("2026-11-21T10:00:00", "weekend"),
        ("2026-12-25T10:00:00", "Christmas"),
        ("2026-11-08T18:30:00", "Diwali Laxmi Pujan: Muhurat session (Sunday): hours not confirmed"),
        ("2027-01-04T10:00:00", "no calendar data"),
    ],
)
def test_closed_reason_names_the_cause(seeded: None, at: str, reason: str) -> None:
    assert closed_reason("NSE", ist(at)) == reason


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        ("2026-11-16T10:00:00", "2026-11-16T10:00:00"),
        ("2026-11-16T15:30:00", "2026-11-17T09:15:00"),
        ("2026-11-20T16:00:00", "2026-11-23T09:15:00"),  # over the weekend
        ("2026-11-23T16:00:00", "2026-11-25T09:15:00"),  # over a holiday
    ],
)
def test_next_open(seeded: None, at: str, opens: str) -> None:
    assert next_open("NSE", ist(at)) == ist(opens)


def test_next_open_without_data_is_unknown(seeded: None) -> None:
    assert next_open("NSE", ist("2026-12-31T16:00:00")) is None


def test_session_opened_at_of_a_holiday_is_none(seeded: None) -> None:
    assert session_opened_at("NSE", date(2026, 12, 25)) is None
    assert session_opened_at("NSE", date(2026, 12, 24)) == ist("2026-12-24T09:15:00")
    assert session_opened_at("SIM", date(2026, 12, 25)) == datetime(2026, 12, 24, 18, 30, tzinfo=UTC)


def test_sessions_between_skips_closed_days(seeded: None) -> None:
    sessions = sessions_between("NSE", ist("2026-11-20T15:00:00"), ist("2026-11-25T09:15:01"))

    assert sessions is not None
    assert [session.opens_at for session in sessions] == [
        ist("2026-11-20T09:15:00"),
        ist("2026-11-23T09:15:00"),
        ist("2026-11-25T09:15:00"),
    ]


def test_sessions_between_of_the_simulated_exchange_never_pause(seeded: None) -> None:
    assert sessions_between("SIM", ist("2026-11-20T15:00:00"), ist("2026-11-25T09:15:01")) is None


@pytest.mark.parametrize(
    ("timeframe", "after", "opened", "closed"),
    [
        (Timeframe.M15, "2026-11-16T09:15:00", "2026-11-16T09:15:00", "2026-11-16T09:30:00"),
        (Timeframe.M15, "2026-11-16T09:30:00", "2026-11-16T09:30:00", "2026-11-16T09:45:00"),
        (Timeframe.M15, "2026-11-16T15:30:00", "2026-11-17T09:15:00", "2026-11-17T09:30:00"),
        (Timeframe.H1, "2026-11-16T15:15:01", "2026-11-16T15:15:00", "2026-11-16T15:30:00"),  # a short last candle
        (Timeframe.D1, "2026-11-16T10:00:00", "2026-11-16T09:15:00", "2026-11-16T15:30:00"),
        (Timeframe.M1, "2026-11-20T20:00:00", "2026-11-23T09:15:00", "2026-11-23T09:16:00"),
    ],
)
def test_next_candle_of_nse(seeded: None, timeframe: Timeframe, after: str, opened: str, closed: str) -> None:
    expected = CandleSpan(opened_at=ist(opened), closed_at=ist(closed))

    assert next_candle("NSE", timeframe, ist(after)) == expected


@pytest.mark.parametrize(
    ("timeframe", "at", "opened", "closed"),
    [
        (Timeframe.M15, "2026-11-16T09:29:59", "2026-11-13T15:15:00", "2026-11-13T15:30:00"),
        (Timeframe.M15, "2026-11-16T09:30:00", "2026-11-16T09:15:00", "2026-11-16T09:30:00"),
        (Timeframe.H1, "2026-11-16T18:00:00", "2026-11-16T15:15:00", "2026-11-16T15:30:00"),
        (Timeframe.D1, "2026-11-16T12:00:00", "2026-11-13T09:15:00", "2026-11-13T15:30:00"),
    ],
)
def test_last_candle_of_nse(seeded: None, timeframe: Timeframe, at: str, opened: str, closed: str) -> None:
    assert last_candle("NSE", timeframe, ist(at)) == CandleSpan(opened_at=ist(opened), closed_at=ist(closed))


def test_last_candle_of_a_share_with_derivatives_ends_with_the_auction(seeded: None) -> None:
    candle = last_candle("NSE", Timeframe.M15, ist("2026-11-16T15:31:00"), DERIVATIVES)

    assert candle == CandleSpan(opened_at=ist("2026-11-16T15:00:00"), closed_at=ist("2026-11-16T15:15:00"))


def test_candles_of_the_simulated_exchange_follow_the_clock() -> None:
    at = datetime(2026, 11, 22, 3, 0, 7, tzinfo=UTC)

    following, previous = next_candle("SIM", Timeframe.S15, at), last_candle("SIM", Timeframe.S15, at)

    assert following is not None
    assert following.closed_at == datetime(2026, 11, 22, 3, 0, 15, tzinfo=UTC)
    assert previous is not None
    assert previous.opened_at == datetime(2026, 11, 22, 2, 59, 45, tzinfo=UTC)
    assert candles_ago("SIM", Timeframe.S15, at, 4) == datetime(2026, 11, 22, 2, 59, tzinfo=UTC)


def test_candles_ago_reaches_back_over_closed_days(seeded: None) -> None:
    since = candles_ago("NSE", Timeframe.M15, ist("2026-11-16T10:00:00"), 26 + 3)

    assert since == ist("2026-11-12T09:15:00")  # 3 today, 25 on Friday, the missing one on Thursday


def test_calendar_warns_weeks_before_a_year_without_data(seeded: None) -> None:
    early = calendar_warnings(ist("2026-11-16T10:00:00"))
    late = calendar_warnings(ist("2026-11-21T10:00:00"))

    assert early == ()
    assert [(warning.exchange, warning.on) for warning in late] == [
        ("NSE", date(2027, 1, 1)),
        ("BSE", date(2027, 1, 1)),
    ]
    assert late[0].message == "no calendar data for 2027: closed all year"


def test_calendar_warns_of_a_session_without_hours(seeded: None) -> None:
    warnings = calendar_warnings(ist("2026-10-19T10:00:00"))

    assert [warning.on for warning in warnings] == [date(2026, 11, 8), date(2026, 11, 8)]
    assert "hours not confirmed" in warnings[0].message


def test_calendar_follows_an_edit_within_a_minute(seeded: None, monkeypatch: pytest.MonkeyPatch) -> None:
    at = ist("2026-11-08T18:30:00")
    assert phase_at("NSE", at) is MarketPhase.CLOSED
    MarketSession.objects.create(
        exchange="NSE",
        session_class=CASH,
        on=date(2026, 11, 8),
        phase="CONTINUOUS",
        opens_at=ist("2026-11-08T18:15:00"),
        closes_at=ist("2026-11-08T19:15:00"),
        source="staff",
    )
    moment = __import__("time").monotonic()
    monkeypatch.setattr("apps.market.calendar.time.monotonic", lambda: moment + timedelta(minutes=1).seconds)

    assert phase_at("NSE", at) is MarketPhase.CONTINUOUS


def test_calendar_asks_the_database_once_a_month(
    seeded: None, django_assert_num_queries: pytest.FixtureRequest
) -> None:
    phase_at("NSE", ist("2026-11-16T10:00:00"))

    with django_assert_num_queries(0):  # type: ignore[operator]
        phase_at("NSE", ist("2026-11-17T10:00:00"))
        closed_reason("NSE", ist("2026-11-21T10:00:00"))
    assert MarketDay.objects.filter(exchange="NSE").count() == 40


# --- years of the past, and interrupted days --------------------------------------------------------------------------


@pytest.fixture
def past(seeded: None) -> None:
    assert calendar_years_ensure({2016, 2017, 2019, 2020, 2021, 2023, 2024}) == set()


@pytest.mark.parametrize(
    ("exchange", "at", "phase"),
    [
        # The outage: NSE stood still from 11:40 to 15:45, and both exchanges went on until 17:00.
        ("NSE", "2021-02-24T11:39:59", MarketPhase.CONTINUOUS),
        ("NSE", "2021-02-24T11:40:00", MarketPhase.CLOSED),
        ("NSE", "2021-02-24T15:31:00", MarketPhase.PRE_OPEN),
        ("NSE", "2021-02-24T15:45:00", MarketPhase.CONTINUOUS),
        ("NSE", "2021-02-24T16:59:59", MarketPhase.CONTINUOUS),
        ("NSE", "2021-02-24T17:00:00", MarketPhase.CLOSED),
        ("BSE", "2021-02-24T12:00:00", MarketPhase.CONTINUOUS),
        ("NSE", "2021-11-04T10:00:00", MarketPhase.CLOSED),  # Muhurat only
        ("NSE", "2021-11-04T18:08:00", MarketPhase.CLOSED),
        ("NSE", "2021-11-04T18:15:00", MarketPhase.CONTINUOUS),
        ("NSE", "2021-11-04T19:15:00", MarketPhase.CLOSED),
        ("NSE", "2020-11-14T18:30:00", MarketPhase.CONTINUOUS),  # Muhurat on a Saturday
        ("NSE", "2023-11-12T18:30:00", MarketPhase.CONTINUOUS),  # on a Sunday
        ("NSE", "2024-01-20T12:00:00", MarketPhase.CONTINUOUS),
        ("NSE", "2024-01-22T12:00:00", MarketPhase.CLOSED),
        ("NSE", "2024-03-02T10:30:00", MarketPhase.CLOSED),  # between the drill's two sessions
        ("NSE", "2024-03-02T11:30:00", MarketPhase.CONTINUOUS),
        ("NSE", "2024-05-18T11:40:00", MarketPhase.CLOSED),
        ("NSE", "2024-05-18T11:45:00", MarketPhase.CONTINUOUS),
        ("NSE", "2017-10-02T10:00:00", MarketPhase.CLOSED),
        ("NSE", "2017-10-19T18:45:00", MarketPhase.CLOSED),  # Muhurat without confirmed hours
        ("NSE", "2018-01-02T10:00:00", MarketPhase.CLOSED),  # a year that was not asked for
    ],
)
def test_days_of_the_past(past: None, exchange: str, at: str, phase: MarketPhase) -> None:
    assert phase_at(exchange, ist(at)) is phase


def test_daily_candle_of_an_interrupted_day_is_one(past: None) -> None:
    whole = sessions_between("NSE", ist("2021-02-24T00:00:00"), ist("2021-02-25T00:00:00"), whole_days=True)
    parts = sessions_between("NSE", ist("2021-02-24T00:00:00"), ist("2021-02-25T00:00:00"))
    candle = last_candle("NSE", Timeframe.D1, ist("2021-02-24T20:00:00"))

    assert whole is not None
    assert parts is not None
    assert [(session.opens_at, session.closes_at) for session in whole] == [
        (ist("2021-02-24T09:15:00"), ist("2021-02-24T17:00:00"))
    ]
    assert len(parts) == 2
    assert candle == CandleSpan(opened_at=ist("2021-02-24T09:15:00"), closed_at=ist("2021-02-24T17:00:00"))
    assert last_candle("NSE", Timeframe.D1, ist("2021-02-24T12:00:00")) == CandleSpan(
        opened_at=ist("2021-02-23T09:15:00"), closed_at=ist("2021-02-23T15:30:00")
    )


def test_candle_before_a_halt_is_cut_short(past: None) -> None:
    candle = last_candle("NSE", Timeframe.M15, ist("2021-02-24T12:00:00"))

    assert candle == CandleSpan(opened_at=ist("2021-02-24T11:30:00"), closed_at=ist("2021-02-24T11:40:00"))
    assert next_candle("NSE", Timeframe.M15, ist("2021-02-24T12:00:00")) == CandleSpan(
        opened_at=ist("2021-02-24T15:45:00"), closed_at=ist("2021-02-24T16:00:00")
    )


def test_calendar_agrees_with_the_days_on_which_daily_prices_exist(seeded: None) -> None:
    if not DAILY.exists():
        pytest.skip(f"no file {DAILY.name} beside the project")
    with gzip.open(DAILY, "rt") as file:
        traded = {date.fromisoformat(row["timestamp"][:10]) for row in csv.DictReader(file)}
    calendar_years_ensure(set(range(2020, 2025)))
    first, last = min(traded), max(traded)

    known = set(
        MarketSession.objects.filter(exchange="NSE", phase="CONTINUOUS", on__range=(first, last)).values_list(
            "on", flat=True
        )
    )

    assert known == traded


# --- the edge of a year and of a day ----------------------------------------------------------------------------------


def test_year_ends_at_midnight_in_india(seeded: None) -> None:
    last_second = datetime(2026, 12, 31, 18, 29, 59, tzinfo=UTC)

    assert trading_date("NSE", last_second) == date(2026, 12, 31)
    assert trading_date("NSE", last_second + timedelta(seconds=1)) == date(2027, 1, 1)
    assert closed_reason("NSE", last_second) == "outside trading hours"
    assert closed_reason("NSE", last_second + timedelta(seconds=1)) == "no calendar data"
    assert last_candle("NSE", Timeframe.D1, ist("2027-01-01T08:00:00")) == CandleSpan(
        opened_at=ist("2026-12-31T09:15:00"), closed_at=ist("2026-12-31T15:30:00")
    )


@pytest.mark.parametrize("on", ["2025-03-31", "2026-03-30", "2026-10-26", "2026-11-02", "2026-06-22"])
def test_india_keeps_one_offset_all_year(seeded: None, on: str) -> None:
    opened = session_opened_at("NSE", date.fromisoformat(on))
    if opened is None:
        assert on == "2025-03-31"  # a holiday
        return

    assert opened == datetime.fromisoformat(f"{on}T03:45:00").replace(tzinfo=UTC)


# --- what people enter ------------------------------------------------------------------------------------------------

YEAR_2027 = """on,kind,name,exchange,pre_opens,pre_closes,opens,closes,post_opens,post_closes
2027-01-26,holiday,Republic Day,,,,,,,
2027-10-29,special,Muhurat session,,17:45,18:00,18:00,19:00,,
"""


def test_next_years_list_is_loaded_and_ends_the_warning(seeded: None, tmp_path: Path) -> None:
    path = tmp_path / "2027.csv"
    path.write_text(YEAR_2027)
    assert calendar_warnings(ist("2026-12-20T10:00:00")) != ()

    change = calendar_file_load(path, actor="staff:tester")

    assert change.counts == {"rows": 2, "bad": 0, "years": [2027]}
    assert calendar_warnings(ist("2026-12-20T10:00:00")) == ()
    assert phase_at("NSE", ist("2027-01-25T15:20:00"), DERIVATIVES) is MarketPhase.CONTINUOUS
    assert phase_at("NSE", ist("2027-01-25T15:35:00"), DERIVATIVES) is MarketPhase.CLOSING_AUCTION
    assert closed_reason("BSE", ist("2027-01-26T10:00:00")) == "Republic Day"
    assert phase_at("NSE", ist("2027-10-29T18:30:00")) is MarketPhase.CONTINUOUS
    assert PlatformAuditEntry.objects.get(action="market.calendar").actor == "staff:tester"

    seed()
    assert phase_at("NSE", ist("2027-10-29T18:30:00")) is MarketPhase.CONTINUOUS


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("2027-13-01,holiday,Nothing,,,,,,,", "on"),
        ("2027-01-26,closed,Republic Day,,,,,,,", "kind"),
        ("2027-01-26,holiday,,,,,,,,", "name"),
        ("2027-01-26,holiday,Republic Day,NYSE,,,,,,", "exchange"),
        ("2027-01-26,holiday,Republic Day,,,,09:15,15:30,,", "opens"),
        ("2027-01-26,special,Session,,,,,,,", "opens"),
        ("2027-01-26,special,Session,,,,19:00,18:00,,", "closes"),
        ("2027-01-26,special,Session,,18:30,18:40,18:15,19:15,,", "closes"),
        ("2027-01-26,special,Session,,,,half past six,19:15,,", "opens"),
    ],
)
def test_list_with_a_faulty_row_changes_nothing(seeded: None, tmp_path: Path, row: str, field: str) -> None:
    path = tmp_path / "2027.csv"
    path.write_text(YEAR_2027 + row + "\n")

    change = calendar_file_load(path, actor="staff:tester")

    assert [(fault.line, fault.field) for fault in change.rejected.all()] == [(4, field)]
    assert not MarketSession.objects.filter(on__year=2027).exists()


def test_file_without_its_columns_is_refused(seeded: None, tmp_path: Path) -> None:
    path = tmp_path / "2027.csv"
    path.write_text("date,name\n2027-01-26,Republic Day\n")

    with pytest.raises(InvalidInputError, match="columns"):
        calendar_file_load(path, actor="staff:tester")


def test_command_enters_the_hours_of_a_session(seeded: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command(
        "calendar", "day", "NSE", "2026-11-08", "special", "Muhurat", "--opens=18:15", "--closes=19:15", "--by=a"
    )

    assert phase_at("NSE", ist("2026-11-08T18:30:00"), DERIVATIVES) is MarketPhase.CONTINUOUS
    assert phase_at("BSE", ist("2026-11-08T18:30:00")) is MarketPhase.CLOSED
    seed()
    assert phase_at("NSE", ist("2026-11-08T18:30:00")) is MarketPhase.CONTINUOUS
    with pytest.raises(CommandError, match="opens"):
        call_command("calendar", "day", "NSE", "2026-11-08", "special", "Muhurat", "--by=a")
    with pytest.raises(CommandError, match="1999"):
        call_command("calendar", "years", "1999")


def test_command_says_what_is_missing(seeded: None, clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    clock.set(ist("2026-11-23T10:00:00"))

    call_command("calendar", "check")

    assert "NSE 2027-01-01: no calendar data for 2027" in capsys.readouterr().out
