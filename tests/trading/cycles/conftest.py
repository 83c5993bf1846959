"""A running bot on the simulated market, whose prices come from a feed under the test's control."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import redis

from apps.common.db import tenant_scope
from apps.engine.model.choices import Timeframe
from apps.market.calendar import forget_calendar
from apps.trading.claims import CycleReport
from apps.trading.cycle import bot_run_cycle
from apps.trading.models import AccountState
from apps.trading.slots import Rhythm, due_name, slot_at
from tests.kit.clock import FakeClock
from tests.kit.factories.trading import TradingTenant, make_trading_tenant
from tests.kit.feeds import FakeFeed

NOW = datetime(2026, 11, 22, 3, 0, 16, tzinfo=UTC)
"""A Sunday morning, one second after a 15-second candle closed."""

RHYTHM = Rhythm(exchange="SIM", timeframe=Timeframe.S15, session_classes=frozenset({"cash"}))
SYMBOLS = ("SIMALPHA", "SIMBETA")


@pytest.fixture(autouse=True)
def _fresh_calendar() -> Iterator[None]:
    forget_calendar()
    yield
    forget_calendar()


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> FakeFeed:
    fake = FakeFeed()
    monkeypatch.setattr("apps.market.feeds.registry.feed_for", lambda feed_id: fake)
    return fake


@pytest.fixture
def at_close(clock: FakeClock) -> FakeClock:
    clock.set(NOW)
    return clock


@pytest.fixture
def ravi(db: None, feed: FakeFeed, at_close: FakeClock, valkey: "redis.Redis[bytes]") -> TradingTenant:
    """A tenant whose bot buys whatever has an RSI and has money to do so."""
    return make_buyer()


def make_buyer(**params: object) -> TradingTenant:
    wanted: dict[str, object] = {
        "timeframe": Timeframe.S15,
        "buy_rsi": Decimal("98.9"),
        "sell_rsi": Decimal(99),
        "size": Decimal(10),
        "cooldown_candles": 0,
    }
    tenant = make_trading_tenant(symbols=SYMBOLS, **(wanted | params))
    give_cash(tenant, Decimal(100_000))
    return tenant


def give_cash(tenant: TradingTenant, cash: Decimal | None) -> None:
    with tenant_scope(tenant.tenant_id):
        AccountState.objects.filter(connection_id=tenant.connection_id).update(cash=cash)


@pytest.fixture
def run(at_close: FakeClock) -> Callable[..., CycleReport]:
    """Return a function that delivers the slot that is due now, as a dispatcher does."""

    def deliver(tenant: TradingTenant, due_at: datetime | None = None) -> CycleReport:
        return bot_run_cycle(tenant_id=tenant.tenant_id, bot_id=tenant.bot_id, slot=due_name(due_at or at_close.at))

    return deliver


def slot_name(due_at: datetime = NOW) -> str:
    slot = slot_at(RHYTHM, due_at)
    assert slot is not None
    return slot.name
