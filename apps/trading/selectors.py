"""Reads of the order protocol. All of them need an open tenant scope."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Q, QuerySet, Sum

from apps.common.db import require_tenant_id
from apps.engine.execution import folding
from apps.engine.execution.run_control import ScopeLevel, effective_level
from apps.engine.model.choices import OrderState, RunLevel, Side
from apps.engine.model.params import StrategyParams
from apps.market.models import Instrument
from apps.subscriptions.selectors import limits_now
from apps.trading.models import (
    IN_FLIGHT_STATES,
    LIVE_STATES,
    AccountState,
    Bot,
    EntryFreeze,
    Fill,
    InstrumentConfig,
    OrderAttempt,
    OrderIntent,
    OutsideTrade,
    PlatformControl,
    PlatformStopRequest,
    Position,
    ProtectiveOrder,
    RunControl,
    StopRequest,
    stop_name,
)
from apps.trading.overrides import effective_params


def strategy_key(bot: Bot) -> str:
    """Return the name under which an operator stops a strategy version."""
    return f"{bot.strategy}@{bot.strategy_version}"


def scope_levels(bot: Bot) -> tuple[ScopeLevel, ...]:
    """Return the newest request of each scope that covers the bot: platform, broker, strategy, tenant, bot.

    Two statements, each with a snapshot of its own: a request that was committed before this call is in it.
    """
    platform = _newest_platform(
        [
            (PlatformControl.Scope.PLATFORM, ""),
            (PlatformControl.Scope.BROKER, bot.connection.broker),
            (PlatformControl.Scope.STRATEGY, strategy_key(bot)),
        ]
    )
    own = StopRequest.objects.filter(
        Q(scope=RunControl.Scope.BOT, scope_id=bot.pk) | Q(scope=RunControl.Scope.TENANT, scope_id=bot.tenant_id)
    )
    newest = own.order_by("scope", "scope_id", "-epoch").distinct("scope", "scope_id")
    found = {request.scope: request for request in newest}
    levels = list(platform)
    for scope in (RunControl.Scope.TENANT, RunControl.Scope.BOT):
        request = found.get(scope)
        levels.append(
            ScopeLevel(
                scope=scope.value,
                level=RunLevel(request.level) if request else RunLevel.RUNNING,
                epoch=request.epoch if request else 0,
                stop_id=str(request.pk) if request else None,
            )
        )
    return tuple(levels)


def _newest_platform(scopes: list[tuple[str, str]]) -> list[ScopeLevel]:
    wanted = Q()
    for scope, key in scopes:
        wanted |= Q(scope=scope, key=key)
    newest = PlatformStopRequest.objects.filter(wanted).order_by("scope", "key", "-epoch").distinct("scope", "key")
    found = {(request.scope, request.key): request for request in newest}
    levels = []
    for scope, key in scopes:
        request = found.get((scope, key))
        levels.append(
            ScopeLevel(
                scope=str(scope),
                level=RunLevel(request.level) if request else RunLevel.RUNNING,
                epoch=request.epoch if request else 0,
                stop_id=stop_name(request) if request else None,
                is_above=True,
            )
        )
    return levels


def run_level(bot: Bot) -> RunLevel:
    """Return the strictest level of all scopes that cover the bot."""
    return effective_level(scope_levels(bot))


def in_scope(scope: str, scope_id: UUID | str, *, bot: str = "") -> Q:
    """Return the rule for rows that a stop of this scope concerns; `bot` is the path to their bot, ending in `__`."""
    if scope == RunControl.Scope.BOT:
        return Q(**{f"{bot}pk": scope_id})
    if scope == PlatformControl.Scope.BROKER:
        return Q(**{f"{bot}connection__broker": scope_id})
    if scope == PlatformControl.Scope.STRATEGY:
        name, _, version = str(scope_id).rpartition("@")
        return Q(**{f"{bot}strategy": name, f"{bot}strategy_version": int(version)})
    return Q()


def orders_in_scope(scope: str, scope_id: UUID | str) -> QuerySet[OrderIntent]:
    """Return the orders that a stop of this scope concerns."""
    orders: QuerySet[OrderIntent] = OrderIntent.objects.filter(in_scope(scope, scope_id, bot="bot__"))
    return orders


def bots_in_scope(scope: str, scope_id: UUID | str) -> QuerySet[Bot]:
    """Return the bots that a stop of this scope concerns."""
    bots: QuerySet[Bot] = Bot.objects.filter(in_scope(scope, scope_id), archived_at=None)
    return bots


def open_attempts(scope: str, scope_id: UUID | str) -> QuerySet[OrderAttempt]:
    """Return the attempts of a scope whose outcome nobody knows yet."""
    attempts: QuerySet[OrderAttempt] = OrderAttempt.objects.filter(
        in_scope(scope, scope_id, bot="intent__bot__"), outcome=OrderAttempt.Outcome.OPEN
    )
    return attempts.select_related("intent__instrument")


def unproven_attempts(scope: str, scope_id: UUID | str) -> QuerySet[OrderAttempt]:
    """Return the attempts of a scope that may still hand their bytes over, for all that is written down.

    Whether the order has been declared UNKNOWN meanwhile is no matter: that says that its sender was not heard of, and
    only `closed_at` says that its socket cannot send any more.
    """
    outcomes = [OrderAttempt.Outcome.OPEN, OrderAttempt.Outcome.UNKNOWN]
    attempts: QuerySet[OrderAttempt] = OrderAttempt.objects.filter(
        in_scope(scope, scope_id, bot="intent__bot__"), outcome__in=outcomes, sent_at=None, closed_at=None
    )
    return attempts.select_related("intent__instrument", "intent__bot__connection", "command")


def orders_in_flight(bot_id: UUID) -> QuerySet[OrderIntent]:
    """Return the bot's orders of which it is not known whether the broker has them."""
    found: QuerySet[OrderIntent] = OrderIntent.objects.filter(bot_id=bot_id, state__in=IN_FLIGHT_STATES)
    return found


def live_orders(connection_id: UUID) -> QuerySet[OrderIntent]:
    """Return the connection's orders that may still change."""
    found: QuerySet[OrderIntent] = OrderIntent.objects.filter(connection_id=connection_id, state__in=LIVE_STATES)
    return found


def standing_protection(position_ids: Iterable[UUID]) -> dict[UUID, ProtectiveOrder]:
    """Return the stop order that stands at the broker for each of these lots; a lot without one is missing.

    Where several stand, because the lot was bought in parts, it is the one that sells first.
    """
    standing = ProtectiveOrder.objects.filter(
        position_id__in=list(position_ids), state=ProtectiveOrder.State.STANDING
    ).order_by("trigger_price")
    return {protective.position_id: protective for protective in standing}


def cash_reserved(connection_id: UUID, *, cash_read_at: datetime | None, besides: Iterable[UUID] = ()) -> Decimal:
    """Return the rupees that entries hold back and the last cash figure may not show.

    An entry that the broker may not have yet holds its reserve, and so does one that moved after the cash was read:
    that figure may be older than the broker's own hold or debit.
    """
    holding = Q(state__in=[OrderState.NEW, *IN_FLIGHT_STATES])
    if cash_read_at is not None:
        holding |= Q(state_changed_at__gte=cash_read_at) & ~Q(state=OrderState.DEAD)
    entries = OrderIntent.objects.filter(holding, connection_id=connection_id, side=Side.BUY)
    total = entries.exclude(pk__in=list(besides)).aggregate(total=Sum("reserved_cash"))["total"]
    return total if total is not None else Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cash:
    """Rupees that new entries may use, or None where nobody knows; and when the broker said so."""

    free: Decimal | None
    read_at: datetime | None


def free_cash(connection_id: UUID, *, besides: Iterable[UUID] = ()) -> Cash:
    """Return what the broker last called deployable, less what our own entries hold back."""
    state = AccountState.objects.filter(connection_id=connection_id).first()
    if state is None or state.cash is None:
        return Cash(free=None, read_at=None)
    held = cash_reserved(connection_id, cash_read_at=state.cash_read_at, besides=besides)
    return Cash(free=state.cash - held, read_at=state.cash_read_at)


def share_params(bot: Bot, instrument_id: UUID) -> StrategyParams | None:
    """Return the parameters in force for one share: its own in place of the bot's. None for a bot without any."""
    if bot.parameters is None:
        return None
    configs = InstrumentConfig.objects.filter(bot_id=bot.pk, instrument_id=instrument_id)
    overrides = configs.values_list("overrides", flat=True).first()
    return effective_params(StrategyParams.from_json(bot.parameters.params), overrides or {})


def require_bot(bot_id: UUID) -> Bot:
    """Return the tenant's bot with its connection. Raises Bot.DoesNotExist for a stranger's and a missing one."""
    require_tenant_id()
    bot: Bot = Bot.objects.select_related("connection", "parameters").get(pk=bot_id)
    return bot


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareDifference:
    """An instrument of which the broker holds another number than the bot's lot and the customer's own shares.

    `average_price` in rupees per share is the broker's, where it gives one. Times are the database's.
    """

    freeze_id: UUID
    connection_id: UUID
    bot: Bot
    instrument: Instrument
    position: Position | None
    broker_quantity: int
    lot_quantity: int
    baseline_quantity: int
    average_price: Decimal | None
    since: datetime
    seen_at: datetime

    @property
    def difference(self) -> int:
        """Return the shares that came, or with a minus went, without an order of ours."""
        return self.broker_quantity - self.lot_quantity - self.baseline_quantity


def share_differences(**place: UUID) -> list[ShareDifference]:
    """Return what the newest books found different and nobody has explained yet, by instrument.

    `place` narrows it down by columns of the freeze: pk, connection_id, instrument_id.
    """
    rows = EntryFreeze.objects.filter(
        reason=EntryFreeze.Reason.POSITION_DIFFERS, cleared_at=None, data__has_key="seen_at", **place
    )
    freezes = list(rows.select_related("instrument").order_by("instrument__tradingsymbol"))
    if not freezes:
        return []
    named = {"connection_id__in": {row.connection_id for row in freezes}}
    configs = {
        (config.connection_id, config.instrument_id): config
        for config in InstrumentConfig.objects.filter(**named).select_related("bot__connection", "bot__parameters")
    }
    lots = {(lot.connection_id, lot.instrument_id): lot for lot in Position.objects.filter(**named, closed_at=None)}
    found = [_difference(freeze, configs, lots) for freeze in freezes]
    return [each for each in found if each is not None and each.difference]


def _difference(
    freeze: EntryFreeze,
    configs: Mapping[tuple[UUID, UUID], InstrumentConfig],
    lots: Mapping[tuple[UUID, UUID], Position],
) -> ShareDifference | None:
    place = (freeze.connection_id, freeze.instrument_id)
    config, lot = configs.get(place), lots.get(place)
    if config is None:
        return None
    average = freeze.data["average_price"]
    return ShareDifference(
        freeze_id=freeze.pk,
        connection_id=freeze.connection_id,
        bot=config.bot,
        instrument=freeze.instrument,
        position=lot,
        broker_quantity=freeze.data["broker"],
        lot_quantity=0 if lot is None else lot.quantity,
        baseline_quantity=config.baseline_quantity,
        average_price=None if average is None else Decimal(average),
        since=freeze.frozen_at,
        seen_at=datetime.fromisoformat(freeze.data["seen_at"]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """How many shares the account watches, switched on or off, and how many its plan allows (None: by contract)."""

    used: int
    limit: int | None

    @property
    def left(self) -> int | None:
        return None if self.limit is None else max(0, self.limit - self.used)


def instrument_places() -> Places:
    """Return the places for shares that the open scope's tenant has and uses, over all its bots."""
    return Places(
        used=InstrumentConfig.objects.filter(bot__archived_at=None).count(), limit=limits_now().max_instruments
    )


# --- what lots are folded from ----------------------------------------------------------------------------------------


def lot_trades(position_ids: Iterable[UUID]) -> dict[UUID, list[folding.Fill]]:
    """Return what each lot is folded from: its fills, and what a person said about its shares. Two statements.

    Nothing is known of the charges of shares that came or went outside.
    """
    wanted = set(position_ids)
    trades: dict[UUID, list[folding.Fill]] = {position_id: [] for position_id in wanted}
    for fill in Fill.objects.filter(position_id__in=wanted):
        trades[fill.position_id].append(
            folding.Fill(
                trade_id=booked_trade_id(fill),
                side=Side(fill.side),
                quantity=fill.quantity,
                price=fill.price,
                charges=fill.charges,
                at=fill.traded_at,
            )
        )
    for trade in OutsideTrade.objects.filter(position_id__in=wanted):
        trades[trade.position_id].append(
            folding.Fill(
                trade_id=f"outside/{trade.pk}",
                side=Side.BUY if trade.quantity > 0 else Side.SELL,
                quantity=abs(trade.quantity),
                price=trade.price,
                charges=Decimal(0),
                at=trade.decided_at,
            )
        )
    return trades


def booked_trade_id(fill: Fill) -> str:
    """Return the name of a booked trade within its lot; the broker's numbers start again each day."""
    return f"{fill.traded_on}/{fill.trade_id}"


def lot_exits(position_ids: Iterable[UUID]) -> dict[tuple[UUID, str], folding.ExitResult]:
    """Return what each sale of these lots realized, by the lot and the trade's name in it."""
    return {
        (position_id, result.trade_id): result
        for position_id, trades in lot_trades(position_ids).items()
        for result in folding.exit_results(trades)
    }
