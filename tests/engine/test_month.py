"""Whole months of 15-minute candles: the engine's trades and those of the plain rule are the same, one by one.

The engine runs as a bot does, candle by candle through `decide`; `plain_rule` is the published text written down once
more. The recorded months are read from beside the project; the made one is always there.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal as D  # noqa: N817 - a table of prices reads better
from functools import lru_cache
from typing import Any

import pytest

from apps.engine.execution.folding import FoldedPosition
from apps.engine.indicators.bars import from_bar_ends, in_sessions
from apps.engine.model.candle import Session
from apps.engine.model.choices import Mode, SipPeriod, Sizing, Timeframe
from apps.engine.model.params import PRESETS, Preset, RiskLimits, StrategyParams
from apps.engine.strategies.rsi_reversion import STRATEGY_VERSION
from tests.engine import plain_rule, replaying
from tests.engine.hours import calendar_sessions, ordinary_sessions
from tests.engine.plain_rule import Bar, Rule
from tests.engine.prices import RECORDED, Row, made_month, rows_of
from tests.engine.replaying import TICK, Month, grid_of

pytestmark = pytest.mark.no_cover  # tens of thousands of decisions through lines that other tests count


def moved(rows: list[Row], weeks: int) -> list[Row]:
    """Return rows some weeks later: the tables of charges do not reach back to the year of every recording."""
    return [replace(row, at=row.at + timedelta(weeks=weeks)) for row in rows]


def between(name: str, first: date, last: date) -> list[Row]:
    return [row for row in rows_of(name) if first <= row.at.date() <= last]


@lru_cache(maxsize=8)
def month(name: str) -> Month:
    return MONTHS[name]()


def _of(name: str, rows: list[Row], sessions: tuple[Session, ...] | None = None) -> Month:
    return Month(name, tuple(row.candle() for row in rows), sessions or tuple(ordinary_sessions(rows)))


def _reliance() -> Month:
    rows = list(rows_of("derived/BSE_RELIANCE_15m_2025-08-25_2025-10-24.csv"))
    return _of("reliance", rows, calendar_sessions(date(2025, 8, 25), date(2025, 10, 24)))


def _sbin() -> Month:
    rows = moved(list(rows_of("NSE_SBIN_15m_2017-01-10_2017-02-21.csv")), 468)
    sessions = tuple(ordinary_sessions(rows))
    starts = from_bar_ends([row.candle() for row in rows], Timeframe.M15)
    return Month("sbin", in_sessions(starts, sessions), sessions)


MONTHS: dict[str, Callable[[], Month]] = {
    # A share over its Muhurat session, by the platform's own calendar.
    "reliance": _reliance,
    # Stamped with the bars' ends, auction rows inside, the last bar of the download unfinished.
    "sbin": _sbin,
    # The index over the outage day, after which nothing may be bought for four days.
    "nifty-outage": lambda: _of(
        "nifty-outage",
        moved(between("derived/NSE_NIFTY50_15m_2021.csv.gz", date(2021, 2, 1), date(2021, 3, 31)), 260),
    ),
    "nifty-spring": lambda: _of(
        "nifty-spring",
        moved(between("derived/NSE_NIFTY50_15m_2021.csv.gz", date(2021, 4, 1), date(2021, 5, 7)), 260),
    ),
    "made": lambda: _of("made", list(made_month())),
}


@dataclass(frozen=True)
class Setting:
    """One set of parameters in both languages."""

    params: StrategyParams
    plain: dict[str, Any]
    limits: RiskLimits = field(default_factory=RiskLimits)
    broker: str = "paper"


def _trade(broker: str = "paper", limits: RiskLimits | None = None, **changes: Any) -> Setting:
    """Return a setting of mode TRADE (or another) from the words of the parameters."""
    params = StrategyParams(**{"profit_target_percent": D(2), "stop_loss_percent": D("1.5"), **changes})
    words = {
        "mode": params.mode.value,
        "period": params.rsi_period,
        "buy_rsi": params.buy_rsi,
        "sell_rsi": params.sell_rsi,
        "target": params.profit_target_percent,
        "stop": params.stop_loss_percent,
        "trailing": params.trailing_stop_percent,
        "catastrophic": params.catastrophic_stop_percent,
        "never_at_loss": params.never_sell_at_loss,
        "sizing": params.sizing.value,
        "size": params.size,
        "cooldown": params.cooldown_candles,
        "entries_a_day": params.max_entries_per_day,
        "charge_gate": params.charge_gate,
        "sip_week_day": params.sip_day,
        "sip_dip_days": params.sip_dip_days,
        "broker": broker,
        "daily_loss": None if limits is None else limits.daily_loss,
    }
    return Setting(params=params, plain=words, limits=limits or RiskLimits(), broker=broker)


def _preset(name: Preset) -> Setting:
    preset = PRESETS[name]
    return _trade(**{key: getattr(preset, key) for key in preset.__dataclass_fields__ if key not in ("timeframe",)})


SIP: dict[str, Any] = {"mode": Mode.SIP, "sizing": Sizing.FIXED_AMOUNT, "sip_period": SipPeriod.WEEK}

SETTINGS: dict[str, Setting] = {
    "narrow": _trade(),
    "narrow, dear broker": _trade(broker="zerodha"),
    "fast rsi": _trade(rsi_period=7, buy_rsi=D(25), sell_rsi=D(75)),
    "slow rsi": _trade(rsi_period=21, buy_rsi=D(45), sell_rsi=D(60)),
    "slowest rsi": _trade(rsi_period=50, buy_rsi=D(48), sell_rsi=D(54)),
    "eager": _trade(buy_rsi=D(50), sell_rsi=D(55), cooldown_candles=0, max_entries_per_day=2),
    "patient": _trade(buy_rsi=D(50), sell_rsi=D(55), cooldown_candles=30, max_entries_per_day=1),
    "trailing": _trade(trailing_stop_percent=D("0.8"), stop_loss_percent=D(3), sell_rsi=None, buy_rsi=D(45)),
    "catastrophic alone": _trade(
        catastrophic_stop_percent=D(1), stop_loss_percent=None, sell_rsi=None, profit_target_percent=None, buy_rsi=D(45)
    ),
    "never at a loss": _trade(
        never_sell_at_loss=True,
        profit_target_percent=D("0.6"),
        trailing_stop_percent=D(1),
        buy_rsi=D(45),
        broker="zerodha",
    ),
    "never at a loss, rsi": _trade(never_sell_at_loss=True, profit_target_percent=None, buy_rsi=D(45), sell_rsi=D(50)),
    "gate closed": _trade(profit_target_percent=D("0.2"), buy_rsi=D(50)),
    "gate off": _trade(profit_target_percent=D("0.2"), buy_rsi=D(50), charge_gate=False),
    "fixed quantity": _trade(sizing=Sizing.FIXED_QUANTITY, size=D(3), buy_rsi=D(45)),
    "fixed amount": _trade(sizing=Sizing.FIXED_AMOUNT, size=D(45_000), buy_rsi=D(45)),
    "all the money": _trade(sizing=Sizing.PERCENT, size=D(100), buy_rsi=D(45)),
    "invest": _trade(mode=Mode.INVEST, buy_rsi=D(45), profit_target_percent=D(1)),
    "sip": _trade(**SIP, size=D(18_000), sip_day=3),
    "sip on fridays": _trade(**SIP, size=D(18_000), sip_day=5),
    "sip with dips": _trade(**SIP, size=D(18_000), sip_day=1, sip_dip_days=4, buy_rsi=D(42)),
    "loss of the day": _trade(
        size=D(90),
        buy_rsi=D(50),
        limits=RiskLimits(daily_loss=D(700), flatten_at_daily_loss=True),
        stop_loss_percent=None,
    ),
    **{f"preset {name.value.lower()}": _preset(name) for name in Preset},
}

# A holding that the customer bought: quantity, average price by month, and when it shall be out at the latest.
HOLDINGS = {
    "reliance": D("1395.00"),
    "sbin": D("262.00"),
    "nifty-outage": D(14_700),
    "nifty-spring": D(14_900),
    "made": D(648),
}
MANAGED: dict[str, Setting] = {
    "managed": _trade(mode=Mode.MANAGED, profit_target_percent=D(4), stop_loss_percent=D(4)),
    "managed, never at a loss": _trade(
        mode=Mode.MANAGED, never_sell_at_loss=True, profit_target_percent=D("0.5"), sell_rsi=D(70)
    ),
    "managed, out by a date": _trade(
        mode=Mode.MANAGED, profit_target_percent=None, stop_loss_percent=None, sell_rsi=None
    ),
}


@lru_cache(maxsize=8)
def plain_bars(chosen: Month) -> list[Bar]:
    numbers = grid_of(chosen)
    return [
        Bar(
            at=candle.opened_at,
            open=candle.open,
            high=candle.high,
            low=candle.low,
            close=candle.close,
            grid=numbers[candle.opened_at],
            is_last=chosen.is_last_of_session(candle),
        )
        for candle in chosen.candles
    ]


@lru_cache(maxsize=64)
def plain_rsis(chosen: Month, period: int) -> list[D | None]:
    return plain_rule.rsis_of(plain_bars(chosen), period)


def both(name: str, setting: Setting, *, holds: bool = False) -> tuple[replaying.Bot, list[plain_rule.Trade]]:
    chosen = month(name)
    mine, theirs = None, None
    if holds:
        average, leaves_at = HOLDINGS[name], chosen.candles[300].opened_at + timedelta(minutes=7)
        cost = average * 20
        timed = setting.params.sell_rsi is None
        lot = FoldedPosition(quantity=20, cost=cost, entry_charges=D("31.40"))
        mine = replaying.Lot(position=lot, highest=average, leaves_at=leaves_at if timed else None)
        theirs = plain_rule.Lot(
            quantity=20, cost=cost, entry_charges=D("31.40"), highest=average, leaves_at=leaves_at if timed else None
        )
    bot = replaying.replayed(chosen, setting.params, limits=setting.limits, broker=setting.broker, holding=mine)
    rule, rsis = Rule(**setting.plain), plain_rsis(chosen, setting.params.rsi_period)
    trades = plain_rule.replayed(plain_bars(chosen), rule, tick=TICK, holding=theirs, rsis=rsis)
    return bot, trades


def available(name: str) -> None:
    if name != "made" and not RECORDED.is_dir():
        pytest.skip("the recorded prices (../shared/data) are not there")


LEAST_TRADES = {"reliance": 500, "sbin": 450, "nifty-outage": 150, "nifty-spring": 90, "made": 550}


@pytest.mark.parametrize("name", MONTHS)
def test_trade_by_trade(name: str) -> None:
    available(name)
    reasons: Counter[str] = Counter()
    decided = 0

    for words, setting in {**SETTINGS, **MANAGED}.items():
        bot, trades = both(name, setting, holds=words in MANAGED)

        assert bot.trades == trades, words
        assert len(set(bot.keys)) == len(bot.keys), words  # no candle is ordered on twice, no lot sold twice
        assert words not in MANAGED or all(trade.side == "SELL" for trade in trades), words
        reasons.update(trade.reason for trade in trades)
        decided += len(bot.decisions)

    settings = len(SETTINGS) + len(MANAGED)
    print(
        f"\nreplay of {name}: {settings} settings, {decided} decisions, {reasons.total()} trades agree: {dict(reasons)}"
    )
    assert {
        "RSI_BUY",
        "SIP_DUE",
        "SIP_DIP",
        "STOP_LOSS",
        "RSI_SELL",
        "PROFIT_TARGET",
        "SCHEDULED_EXIT",
    } <= reasons.keys()
    assert reasons.total() >= LEAST_TRADES[name]


@pytest.mark.parametrize("name", MONTHS)
def test_every_candle_gets_one_decision_of_this_version(name: str) -> None:
    available(name)

    bot, _ = both(name, SETTINGS["preset moderate"])

    judged = [each.candle_opened_at for each in bot.decisions if each.candle_opened_at is not None]
    assert judged == [candle.opened_at for candle in month(name).candles]
    assert {each.strategy_version for each in bot.decisions} == {STRATEGY_VERSION}


def test_a_wrong_rule_would_be_seen() -> None:
    """The plain rule with another period, pause, stop or size, or without one candle, does not agree."""
    bars = plain_bars(month("made"))
    rule = Rule(**SETTINGS["narrow"].plain)
    right = plain_rule.replayed(bars, rule, tick=TICK)

    for wrong in (
        replace(rule, period=13),
        replace(rule, cooldown=5),
        replace(rule, stop=D("1.55")),
        replace(rule, size=D("10.2")),
    ):
        assert plain_rule.replayed(bars, wrong, tick=TICK) != right
    assert plain_rule.replayed([*bars[:300], *bars[301:]], rule, tick=TICK) != right
