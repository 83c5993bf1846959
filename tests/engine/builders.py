"""Snapshots and their parts with sensible values, so that a test names only what it is about."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from apps.engine.cycle import decide
from apps.engine.model.choices import MarketPhase, RunLevel, Trigger
from apps.engine.model.decision import Decision
from apps.engine.model.instrument import Instrument
from apps.engine.model.params import RiskLimits, StrategyParams
from apps.engine.model.snapshot import (
    CycleSnapshot,
    IndicatorReading,
    InstrumentSnapshot,
    PositionSnapshot,
    Quote,
    RiskScope,
    RiskUsage,
)

NOW = datetime(2026, 11, 16, 5, 0, 1, tzinfo=UTC)  # a Monday, 10:30:01 in India
CANDLE = datetime(2026, 11, 16, 4, 45, tzinfo=UTC)


def an_instrument(name: str = "INFY", **changes: Any) -> Instrument:
    values: dict[str, Any] = {
        "instrument_id": f"id-{name}",
        "exchange": "NSE",
        "tradingsymbol": name,
        "tick_size": Decimal("0.05"),
        "lot_size": 1,
        "share_id": f"isin-{name}",
    }
    return Instrument(**{**values, **changes})


def a_reading(rsi: float | None = 50.0, **changes: Any) -> IndicatorReading:
    values: dict[str, Any] = {
        "period": 14,
        "candle_opened_at": CANDLE,
        "candle_close": Decimal(100),
        "candle_count": 200,
        "rsi": rsi,
        "denial": None,
    }
    return IndicatorReading(**{**values, **changes})


def a_quote(price: str = "100", age_seconds: int = 1) -> Quote:
    return Quote(last_price=Decimal(price), at=NOW - timedelta(seconds=age_seconds))


def a_position(**changes: Any) -> PositionSnapshot:
    values: dict[str, Any] = {
        "position_id": "p1",
        "quantity": 10,
        "average_price": Decimal(100),
        "highest_price": Decimal(100),
        "entered_at": NOW - timedelta(days=1),
        "exit_no": 1,
    }
    return PositionSnapshot(**{**values, **changes})


def an_item(name: str = "INFY", rsi: float | None = 30.0, price: str = "100", **changes: Any) -> InstrumentSnapshot:
    values: dict[str, Any] = {
        "instrument": an_instrument(name),
        "indicator": a_reading(rsi, candle_close=Decimal(price)),
        "quote": a_quote(price),
    }
    return InstrumentSnapshot(**{**values, **changes})


def a_snapshot(*items: InstrumentSnapshot, **changes: Any) -> CycleSnapshot:
    values: dict[str, Any] = {
        "bot_id": "b1",
        "connection_id": "c1",
        "broker": "paper",
        "params": StrategyParams(),
        "params_version": 1,
        "trigger": Trigger.CANDLE,
        "now": NOW,
        "trading_on": date(2026, 11, 16),
        "slot": NOW,
        "phase": MarketPhase.CONTINUOUS,
        "run_level": RunLevel.RUNNING,
        "cash": Decimal(100_000),
        "allocated_capital": Decimal(100_000),
        "capital_in_use": Decimal(0),
        "risk": (),
        "instruments": items,
    }
    return CycleSnapshot(**{**values, **changes})


def a_scope(limits: dict[str, Any], name: str = "bot", **usage: Any) -> RiskScope:
    return RiskScope(name=name, limits=RiskLimits(**limits), usage=RiskUsage(**usage))


def decided(item: InstrumentSnapshot, **changes: Any) -> Decision:
    """Return the one decision of a cycle over one instrument."""
    (decision,) = decide(a_snapshot(item, **changes))
    return decision


def held(price: str = "100", rsi: float | None = 50.0, *, item: dict[str, Any] | None = None, **position: Any) -> Any:
    """Return an instrument with an open lot of 10 shares bought at 100."""
    return replace(an_item(rsi=rsi, price=price), position=a_position(**position), **(item or {}))
