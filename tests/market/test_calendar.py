"""The calendar's answers; dates and hours are those of the exchanges' circulars, not of the code."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

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

IST = ZoneInfo("Asia/Kolkata")
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
        ("2025-10-21T13:45:00", CASH, MarketPhase.CONTINUOUS),  # Muhurat
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
