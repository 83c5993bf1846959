"""From a crossed level to the exit's intent, across tenants, with the levels read under the dispatcher's role."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
import redis
from django.db import connections

from apps.common.db import tenant_scope
from apps.common.models import WorkItem
from apps.engine.model.choices import RunLevel
from apps.market.quotes import CachedQuote
from apps.trading.cycle import bot_run_cycle
from apps.trading.models import CycleRun, Decision, OrderIntent, Position, PriceLevel
from apps.trading.price_watch import crossed_levels, prices_watch
from apps.trading.services.levels import levels_refresh
from apps.trading.services.work import work_finish
from tests.kit.clock import FakeClock
from tests.kit.database import TestDatabases
from tests.kit.factories.trading import TradingTenant, set_level
from tests.kit.feeds import FakeFeed

from .conftest import NOW, make_buyer

Watch = Callable[..., list[str]]


def hold(tenant: TradingTenant, *, average_price: str = "62.00", quantity: int = 100) -> UUID:
    """Give the bot a lot of its first instrument, as the fold of a fill would."""
    with tenant_scope(tenant.tenant_id):
        position = Position.objects.create(
            connection_id=tenant.connection_id,
            bot_id=tenant.bot_id,
            instrument_id=tenant.instrument_id,
            quantity=quantity,
            average_price=Decimal(average_price),
            highest_price=Decimal(average_price),
            opened_at=NOW - timedelta(hours=1),
        )
        levels_refresh(Position.objects.select_related("bot__parameters").get(pk=position.pk))
        work_finish(WorkItem.Kind.CYCLE, tenant.bot_id)
        return UUID(str(position.pk))


def levels(tenant: TradingTenant) -> dict[str, Decimal]:
    with tenant_scope(tenant.tenant_id):
        return {level.kind: level.price for level in PriceLevel.objects.all()}


@pytest.fixture
def meera(
    committed_db: TestDatabases, feed: FakeFeed, at_close: FakeClock, valkey: "redis.Redis[bytes]"
) -> Iterator[TradingTenant]:
    yield make_buyer(profit_target_percent=Decimal(10), stop_loss_percent=Decimal(5))
    connections["dispatch"].close()


@pytest.fixture
def look(at_close: FakeClock) -> Watch:
    """Return a function that looks once and runs what it woke, as the workers do; it returns the slots."""

    def once(now: datetime | None = None) -> list[str]:
        woken: list[tuple[UUID, UUID, str]] = []
        prices_watch(lambda *item: woken.append(item), now=now or at_close.at)
        for tenant_id, bot_id, slot in woken:
            bot_run_cycle(tenant_id=tenant_id, bot_id=bot_id, slot=slot)
        return [slot for _, _, slot in woken]

    return once


def exits(tenant: TradingTenant) -> list[OrderIntent]:
    with tenant_scope(tenant.tenant_id):
        return list(OrderIntent.objects.filter(side="SELL"))


def test_levels_of_a_lot_are_its_rules(meera: TradingTenant) -> None:
    hold(meera)

    assert levels(meera) == {
        "catastrophic": Decimal("49.6"),
        "stop": Decimal("58.9"),
        "target": Decimal("68.2"),
    }


@pytest.mark.parametrize(("price", "crossed"), [("58.95", False), ("58.90", True), ("40.00", True)])
def test_stop_wakes_at_or_under_its_level(meera: TradingTenant, price: str, crossed: bool) -> None:
    position = hold(meera)
    quote = CachedQuote(last_price=Decimal(price), at=NOW)

    found = crossed_levels({("", meera.instrument_id): quote})

    assert [(item.tenant_id, item.bot_id, item.position_id) for item in found] == (
        [(meera.tenant_id, meera.bot_id, position)] if crossed else []
    )


@pytest.mark.parametrize(("price", "crossed"), [("68.15", False), ("68.20", True)])
def test_target_wakes_at_or_over_its_level(meera: TradingTenant, price: str, crossed: bool) -> None:
    hold(meera)

    found = crossed_levels({("", meera.instrument_id): CachedQuote(last_price=Decimal(price), at=NOW)})

    assert [item.kind for item in found] == (["target"] if crossed else [])


def test_crossed_stop_becomes_one_exit(meera: TradingTenant, look: Watch, feed: FakeFeed) -> None:
    position = hold(meera)
    feed.prices = {"SIMALPHA": Decimal("58.50")}

    slots = look()

    assert slots == [f"price@{position.hex}@stop@{int(NOW.timestamp()) // 5 * 5}"]
    (order,) = exits(meera)
    assert (order.purpose, order.exit_reason, order.quantity, order.state) == ("EXIT", "STOP_LOSS", 100, "NEW")
    assert (order.position_id, order.intent_key) == (position, f"EXIT:{position}:1")
    with tenant_scope(meera.tenant_id):
        run = CycleRun.objects.get()
        assert (run.trigger, run.state) == ("PRICE", "DONE")
        numbers = Decision.objects.get().numbers
    assert (Decimal(numbers["level"]), Decimal(numbers["last_price"])) == (Decimal("58.9"), Decimal("58.5"))


def test_same_crossing_seen_again_wakes_nobody(meera: TradingTenant, look: Watch, feed: FakeFeed) -> None:
    hold(meera)
    feed.prices = {"SIMALPHA": Decimal("58.50")}

    first, second = look(), look(NOW + timedelta(seconds=2))

    assert (len(first), len(second)) == (1, 0)
    assert len(exits(meera)) == 1


def test_crossing_that_lasts_is_looked_at_again_without_a_second_exit(
    meera: TradingTenant, look: Watch, feed: FakeFeed, at_close: FakeClock
) -> None:
    hold(meera)
    feed.prices = {"SIMALPHA": Decimal("58.50")}
    look()

    for _ in range(3):
        at_close.advance(seconds=5)
        assert len(look()) == 1

    assert len(exits(meera)) == 1
    with tenant_scope(meera.tenant_id):
        assert CycleRun.objects.count() == 4
        # The exit and the first EXIT_WORKING; a repetition says nothing new.
        assert list(Decision.objects.order_by("decided_at").values_list("reason", flat=True)) == [
            "STOP_LOSS",
            "EXIT_WORKING",
        ]


def test_wake_up_that_came_too_early_sells_nothing(
    meera: TradingTenant, look: Watch, feed: FakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The price recovers between the watch and the arbiter, which looks at a new one."""
    hold(meera)
    feed.prices = {"SIMALPHA": Decimal("58.50")}
    woken: list[tuple[UUID, UUID, str]] = []
    prices_watch(lambda *item: woken.append(item), now=NOW)
    feed.prices = {"SIMALPHA": Decimal("60.00")}
    monkeypatch.setattr("apps.trading.cycle.PRICE_QUOTE_AGE_SECONDS", -1.0)

    for tenant_id, bot_id, slot in woken:
        bot_run_cycle(tenant_id=tenant_id, bot_id=bot_id, slot=slot)

    assert len(woken) == 1
    assert exits(meera) == []
    with tenant_scope(meera.tenant_id):
        assert Decision.objects.get().reason == "HOLDING"


def test_levels_of_all_tenants_are_watched_with_one_call(meera: TradingTenant, look: Watch, feed: FakeFeed) -> None:
    other = make_buyer(stop_loss_percent=Decimal(3), profit_target_percent=Decimal(10))
    hold(meera)
    hold(other)
    feed.prices = {"SIMALPHA": Decimal("59.50")}  # 4 % under: the other's stop, not Meera's

    look()

    assert exits(meera) == []
    assert len(exits(other)) == 1
    assert len(feed.quote_calls) == 1


def test_stopped_bot_sells_nothing_and_writes_nothing(meera: TradingTenant, look: Watch, feed: FakeFeed) -> None:
    hold(meera)
    set_level(meera, RunLevel.STOP)
    feed.prices = {"SIMALPHA": Decimal("58.50")}

    assert len(look()) == 1

    assert exits(meera) == []
    with tenant_scope(meera.tenant_id):
        assert CycleRun.objects.count() == 0


def test_paused_bot_still_sells(meera: TradingTenant, look: Watch, feed: FakeFeed) -> None:
    hold(meera)
    set_level(meera, RunLevel.PAUSE_ENTRIES)
    feed.prices = {"SIMALPHA": Decimal("58.50")}

    look()

    assert [order.exit_reason for order in exits(meera)] == ["STOP_LOSS"]


def test_broken_feed_wakes_nobody_and_the_next_look_does(meera: TradingTenant, look: Watch, feed: FakeFeed) -> None:
    hold(meera)
    feed.prices = {"SIMALPHA": Decimal("58.50")}
    feed.is_broken = True
    assert look() == []

    feed.is_broken = False

    assert len(look()) == 1


def test_trailing_stop_follows_new_highs_between_candles(
    committed_db: TestDatabases,
    feed: FakeFeed,
    at_close: FakeClock,
    valkey: "redis.Redis[bytes]",
    look: Watch,
) -> None:
    tenant = make_buyer(
        trailing_stop_percent=Decimal(2), stop_loss_percent=None, profit_target_percent=None, sell_rsi=None
    )
    position = hold(tenant)
    assert levels(tenant)["trailing"] == Decimal("60.76")

    feed.prices = {"SIMALPHA": Decimal("65.00")}
    assert look() == [f"price@{position.hex}@peak@{int(NOW.timestamp()) // 5 * 5}"]

    assert levels(tenant)["trailing"] == Decimal("63.7")
    assert levels(tenant)["peak"] == Decimal("65.0001")
    at_close.advance(seconds=5)
    feed.prices = {"SIMALPHA": Decimal("63.70")}
    look()
    (order,) = exits(tenant)
    assert order.exit_reason == "TRAILING_STOP"
    connections["dispatch"].close()


def test_closed_position_has_no_levels(meera: TradingTenant, look: Watch, feed: FakeFeed) -> None:
    position = hold(meera)
    with tenant_scope(meera.tenant_id):
        Position.objects.filter(pk=position).update(quantity=0, closed_at=NOW)
        levels_refresh(Position.objects.select_related("bot__parameters").get(pk=position))
    feed.prices = {"SIMALPHA": Decimal("10.00")}

    assert look() == []
    assert levels(meera) == {}


def test_levels_of_another_tenant_are_invisible_in_a_scope(meera: TradingTenant) -> None:
    other = make_buyer()
    hold(meera)

    assert levels(other) == {}
    assert len(levels(meera)) == 3
