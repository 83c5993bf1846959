"""An account with a little history, made along the real paths: for the page tests and the browser."""

import zlib
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from allauth.account.models import EmailAddress

from apps.accounts.models import User
from apps.common import clock
from apps.common.db import tenant_scope
from apps.engine.cycle import decide
from apps.engine.model.choices import OrderState, Trigger
from apps.engine.model.decision import plain_numbers
from apps.engine.model.snapshot import CycleSnapshot, InstrumentSnapshot
from apps.engine.replay import snapshot_to_bytes
from apps.engine.strategies.rsi_reversion import STRATEGY_HASH
from apps.market.cache import write_many
from apps.market.quotes import CachedQuote, _key, _plain
from apps.notifications.services import notification_add
from apps.tenants.models import Membership
from apps.trading.gateway.execute import order_execute
from apps.trading.models import Bot, CycleRun, Decision, Position, StopRequest
from apps.trading.reconciler import connection_reconcile
from apps.trading.services.stops import stop_drain
from tests.engine.builders import a_quote, a_reading, a_snapshot, an_instrument
from tests.kit.broker import FakeBroker, Weather
from tests.kit.factories.people import PASSWORD, make_tenant, make_user
from tests.kit.factories.trading import TradingTenant, make_entry, make_trading_tenant

SYMBOLS = ("SIMLOTUS", "SIMNEEM", "SIMTEAK")
__all__ = ["PASSWORD", "World", "empty_world", "full_world"]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The people, and the account they look at."""

    account: TradingTenant
    owner: User
    viewer: User
    stranger: User
    filled: UUID | None = None
    unknown: UUID | None = None
    decision: UUID | None = None
    lot: UUID | None = None


def empty_world(*, running: bool = False) -> World:
    """A fresh account: a bot that nobody has started, or one that has just been."""
    account = make_trading_tenant(name="Meera", symbols=SYMBOLS, running=running)
    owner = User.objects.get(pk=account.user_id)
    owner.set_password(PASSWORD)
    owner.save()
    EmailAddress.objects.create(user=owner, email=owner.email, verified=True, primary=True)
    viewer = make_user()
    with tenant_scope(account.tenant_id):
        Membership.objects.create(tenant_id=account.tenant_id, user=viewer, role=Membership.Role.VIEWER)
        for request in StopRequest.objects.order_by("epoch"):
            stop_drain(request.pk)
    stranger = make_user()
    make_tenant(stranger, "Iyer family")
    return World(account=account, owner=owner, viewer=viewer, stranger=stranger)


def full_world(*, with_unknown: bool = True) -> World:
    """An account that holds one lot, has an order of unknown outcome, and has looked at its market once."""
    world = empty_world(running=True)
    account, broker = world.account, FakeBroker()
    connection_reconcile(tenant_id=account.tenant_id, connection_id=account.connection_id, make_reads=broker.reads)
    filled = make_entry(account)
    assert filled is not None
    order_execute(tenant_id=account.tenant_id, intent_id=filled.pk, make_broker=broker.broker)
    connection_reconcile(tenant_id=account.tenant_id, connection_id=account.connection_id, make_reads=broker.reads)
    unknown = _unknown_order(account, broker) if with_unknown else None
    decision = _cycle(account)
    _notices(account)
    _quotes(account)
    with tenant_scope(account.tenant_id):
        lot = Position.objects.get()
    return replace(world, filled=filled.pk, unknown=unknown, decision=decision, lot=lot.pk)


def _unknown_order(account: TradingTenant, broker: FakeBroker) -> UUID:
    broker.weather = Weather.REPLY_LOST
    second = replace(account, instrument_ids=account.instrument_ids[1:])
    intent = make_entry(second, quantity=4)
    assert intent is not None
    state = order_execute(tenant_id=account.tenant_id, intent_id=intent.pk, make_broker=broker.broker)
    assert state is OrderState.UNKNOWN
    return intent.pk


def _cycle(account: TradingTenant) -> UUID:
    """One candle cycle as the cycle service stores it: the snapshot's bytes, and one decision per instrument."""
    snapshot = _snapshot(account)
    decided = decide(snapshot)
    with tenant_scope(account.tenant_id):
        bot = Bot.objects.get(pk=account.bot_id)
        now = clock.now()
        cycle = CycleRun.objects.create(
            bot=bot,
            slot=f"{bot.pk}:{now.isoformat()}",
            trigger=Trigger.CANDLE,
            state=CycleRun.State.DONE,
            due_at=now,
            finished_at=now,
            parameters=bot.parameters,
            strategy_hash=STRATEGY_HASH,
            snapshot=zlib.compress(snapshot_to_bytes(snapshot)),
        )
        rows = [
            Decision.objects.create(
                cycle=cycle,
                bot=bot,
                instrument_id=UUID(decision.instrument_id),
                action=decision.action,
                reason=decision.reason,
                numbers=plain_numbers(decision.numbers),
                decided_at=now,
            )
            for decision in decided
        ]
    return rows[-1].pk


def _snapshot(account: TradingTenant) -> CycleSnapshot:
    def item(index: int, rsi: float) -> InstrumentSnapshot:
        instrument = an_instrument(
            SYMBOLS[index], instrument_id=str(account.instrument_ids[index]), exchange="SIM", share_id=SYMBOLS[index]
        )
        return InstrumentSnapshot(instrument=instrument, indicator=a_reading(rsi), quote=a_quote("100"))

    unknown = replace(item(1, 30.0), has_unknown_order=True)
    return a_snapshot(item(0, 29.5), unknown, item(2, 51.25))


def _notices(account: TradingTenant) -> None:
    with tenant_scope(account.tenant_id):
        notification_add("test", text="The broker answered late twice today. Nothing for you to do.")
        notification_add("test", text="An order's outcome is unknown. ARUN is checking.", severity="danger")


def _quotes(account: TradingTenant) -> None:
    now = clock.now()
    prices = dict(zip(account.instrument_ids, (Decimal("104.25"), Decimal("99.10"), Decimal("250.05")), strict=True))
    write_many(
        {
            _key("simulated", pk): _plain(CachedQuote(last_price=price, at=now - timedelta(seconds=2)))
            for pk, price in prices.items()
        },
        ttl_seconds=600,
    )
