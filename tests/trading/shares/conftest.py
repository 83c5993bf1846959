"""A tenant with a bot on the simulated market, and room for more shares."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from apps.common.db import tenant_scope
from apps.trading.models import Bot
from tests.kit.factories.trading import TradingTenant, make_instrument, make_trading_tenant

SYMBOLS = ("SIMALPHA", "SIMBETA")
MORE = ("SIMGAMMA", "SIMDELTA", "SIMEPSILON", "SIMZETA")


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> "Plan":
    """The plan's number of shares, which a test may change."""
    found = Plan(10)
    monkeypatch.setattr("apps.trading.selectors.limits_now", lambda: found)
    return found


class Plan:
    """The one limit that is asked for here."""

    def __init__(self, max_instruments: int | None) -> None:
        self.max_instruments = max_instruments


@pytest.fixture
def asha(db: None, plan: Plan) -> TradingTenant:
    tenant = make_trading_tenant(name="Asha", symbols=SYMBOLS, running=False)
    for symbol in MORE:
        make_instrument(symbol)
    return tenant


@pytest.fixture
def ravi(db: None, plan: Plan) -> TradingTenant:
    """Another tenant with the same shares."""
    return make_trading_tenant(name="Ravi", symbols=SYMBOLS, running=False)


@pytest.fixture
def in_scope(asha: TradingTenant) -> Iterator[TradingTenant]:
    with tenant_scope(asha.tenant_id):
        yield asha


def bot_of(tenant: TradingTenant) -> Bot:
    return Bot.objects.select_related("connection", "parameters").get(pk=tenant.bot_id)


def actor_of(tenant: TradingTenant) -> str:
    return f"user:{tenant.user_id}"


def unknown_id() -> UUID:
    return UUID(int=7)
