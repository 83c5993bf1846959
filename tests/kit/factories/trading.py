"""A tenant with a bot on a paper connection, ready to trade in a test."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from apps.accounts.models import User
from apps.brokers.models import BrokerConnection
from apps.common import clock
from apps.common.db import tenant_scope
from apps.engine.model.choices import OrderType, Purpose, RunLevel, Side
from apps.engine.model.params import RiskLimits, StrategyParams
from apps.market.models import Instrument
from apps.tenants.services import tenant_create
from apps.trading.models import Bot, OrderIntent, Position, RunControl, StopRequest
from apps.trading.services.bots import bot_create
from apps.trading.services.intents import IntentTerms, intent_record
from apps.trading.services.stops import stop_request


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingTenant:
    """Ids of everything a trading test needs."""

    user_id: UUID
    tenant_id: UUID
    connection_id: UUID
    bot_id: UUID
    instrument_ids: tuple[UUID, ...]

    @property
    def instrument_id(self) -> UUID:
        return self.instrument_ids[0]


def make_instrument(symbol: str) -> Instrument:
    instrument, _made = Instrument.objects.get_or_create(
        exchange="SIM",
        tradingsymbol=symbol,
        defaults={
            "name": symbol.title(),
            "kind": "EQ",
            "tick_size": Decimal("0.05"),
            "lot_size": 1,
            "feed": "simulated",
            "is_simulated": True,
        },
    )
    return instrument


def make_trading_tenant(
    *,
    name: str = "Asha",
    symbols: Sequence[str] = ("SIMTEST",),
    running: bool = True,
    keeps_stop: bool = False,
    **params: object,
) -> TradingTenant:
    """Make a user, a tenant, a paper connection and a bot; `running` also starts it.

    Without `keeps_stop` the bot leaves no stop order at the broker: most tests are about one order at a time.
    """
    user = User.objects.create_user(f"{name.lower()}-{uuid4().hex[:8]}@example.test", "a long test password")
    tenant = tenant_create(user_id=user.pk, name=name)
    instruments = [make_instrument(symbol) for symbol in symbols]
    with tenant_scope(tenant.pk):
        connection = BrokerConnection.objects.create(
            broker="paper",
            label="Paper",
            venue="SIM",
            account_ref=f"acc-{uuid4().hex[:8]}",
            opening_cash=Decimal(100000),
            book_lag_seconds=0,
        )
        bot = bot_create(
            connection=connection,
            name="Bot",
            params=StrategyParams(**params),  # type: ignore[arg-type]
            limits=RiskLimits(),
            allocated_capital=Decimal(50_000),
            instrument_ids=[instrument.pk for instrument in instruments],
            actor=f"user:{user.pk}",
        )
        Bot.objects.filter(pk=bot.pk).update(keeps_stop_at_broker=keeps_stop)
    made = TradingTenant(
        user_id=user.pk,
        tenant_id=tenant.pk,
        connection_id=connection.pk,
        bot_id=bot.pk,
        instrument_ids=tuple(instrument.pk for instrument in instruments),
    )
    if running:
        set_level(made, RunLevel.RUNNING)
    return made


def set_level(tenant: TradingTenant, level: RunLevel, *, scope: str = "bot") -> StopRequest:
    """Ask for a run level of the bot or the account."""
    with tenant_scope(tenant.tenant_id):
        return stop_request(
            scope=RunControl.Scope(scope),
            scope_id=tenant.bot_id if scope == "bot" else tenant.tenant_id,
            level=level,
            request_id=uuid4(),
            actor=f"user:{tenant.user_id}",
        )


def make_entry(tenant: TradingTenant, *, quantity: int = 10, candle: int = 1, **changes: object) -> OrderIntent | None:
    """Record the wish to buy, as a cycle would."""
    with tenant_scope(tenant.tenant_id):
        terms = IntentTerms(
            key=f"ENTRY:{tenant.connection_id}:{tenant.instrument_id}:{candle}:1",
            purpose=Purpose.ENTRY,
            side=Side.BUY,
            quantity=quantity,
            order_type=OrderType.LIMIT,
            limit_price=Decimal("100.50"),
            reserved_cash=Decimal(quantity) * Decimal("100.50"),
        )
        return intent_record(
            bot=Bot.objects.select_related("connection").get(pk=tenant.bot_id),
            instrument_id=tenant.instrument_id,
            terms=terms,
            expires_at=clock.now() + timedelta(minutes=5),
            **changes,  # type: ignore[arg-type]
        )


def make_exit(tenant: TradingTenant, position: Position, *, quantity: int, exit_no: int = 1) -> OrderIntent | None:
    """Record the wish to sell a lot, as the exit arbiter would."""
    with tenant_scope(tenant.tenant_id):
        return intent_record(
            bot=Bot.objects.select_related("connection").get(pk=tenant.bot_id),
            instrument_id=position.instrument_id,
            terms=IntentTerms(
                key=f"EXIT:{position.pk}:{exit_no}",
                purpose=Purpose.EXIT,
                side=Side.SELL,
                quantity=quantity,
                order_type=OrderType.MARKET,
                exit_reason="STOP_LOSS",
            ),
            expires_at=clock.now() + timedelta(minutes=5),
            position=position,
        )
