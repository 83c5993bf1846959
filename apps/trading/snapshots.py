"""What a cycle looks at, read in one tenant scope into one frozen snapshot. A datum that is not known stays None."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Count, Max, Q

from apps.brokers.selectors import facts_of
from apps.engine.execution.keys import sip_key
from apps.engine.execution.states import FINAL
from apps.engine.model.choices import (
    ChargeClass,
    MarketPhase,
    Mode,
    OrderState,
    Purpose,
    RunLevel,
    Side,
    Trigger,
)
from apps.engine.model.instrument import Instrument as EngineInstrument
from apps.engine.model.params import RiskLimits, StrategyParams
from apps.engine.model.snapshot import (
    CycleSnapshot,
    FilterFacts,
    IndicatorReading,
    InstrumentSnapshot,
    PositionSnapshot,
    Quote,
    RiskScope,
    RiskUsage,
)
from apps.engine.strategies.sip import instalment_of
from apps.market import calendar
from apps.market.feeds.keys import own_feed
from apps.market.models import Instrument
from apps.market.quotes import CachedQuote
from apps.trading.account_risk import AccountLimits, account_scope
from apps.trading.filter_facts import closes_before, filter_facts, overnight_facts
from apps.trading.models import (
    LIVE_STATES,
    Bot,
    ClockTimestamp,
    Decision,
    EntryFreeze,
    Fill,
    InstrumentConfig,
    OrderIntent,
    Position,
    RunControl,
    StopRequest,
)
from apps.trading.overrides import share_limits
from apps.trading.risk_use import by_sector, exposures, gained_since, loss_was_reached, losses_in_row, orders_since
from apps.trading.selectors import free_cash
from apps.trading.slots import Rhythm

_LONGEST_CLOSURE_DAYS = 15
"""No exchange of ours has ever been closed for longer."""

_UNSETTLED = frozenset({OrderState.UNKNOWN, OrderState.PARKED})
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFacts:
    """What the platform knows of the market for this cycle; an instrument nobody could read is missing."""

    readings: Mapping[UUID, IndicatorReading] = field(default_factory=dict)
    quotes: Mapping[UUID, CachedQuote] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleTerms:
    """The bot's own rules and the moment: everything of a snapshot that is neither market nor book."""

    bot: Bot
    configs: Sequence[InstrumentConfig]
    params: StrategyParams
    params_version: int
    limits: RiskLimits
    rhythm: Rhythm
    trigger: Trigger
    slot_at: datetime
    now: datetime
    run_level: RunLevel
    phase: MarketPhase
    own: Mapping[UUID, StrategyParams] = field(default_factory=dict)
    """The whole set in force for each share that has parameters of its own."""
    account: AccountLimits | None = None

    def params_of(self, instrument_id: UUID) -> StrategyParams:
        return self.own.get(instrument_id, self.params)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ledger:
    """The connection's open lots and living orders: of this bot, and of all others beside it."""

    positions: Sequence[Position]
    orders: Sequence[OrderIntent]
    bot_id: UUID

    @property
    def own_positions(self) -> list[Position]:
        return [position for position in self.positions if position.bot_id == self.bot_id]

    @property
    def own_entries(self) -> list[OrderIntent]:
        return [order for order in self.orders if order.bot_id == self.bot_id and order.side == Side.BUY]


def cycle_snapshot(terms: CycleTerms, market: MarketFacts) -> CycleSnapshot:
    """Return the whole input of one cycle, as the database and the market data say it now."""
    bot = terms.bot
    trading_on = calendar.trading_date(terms.rhythm.exchange, terms.now)
    ledger = _ledger(bot)
    facts = _Facts.read(terms, ledger)
    return CycleSnapshot(
        bot_id=str(bot.pk),
        connection_id=str(bot.connection_id),
        broker=bot.connection.broker,
        params=terms.params,
        params_version=terms.params_version,
        trigger=terms.trigger,
        now=terms.now,
        trading_on=trading_on,
        slot=terms.slot_at,
        phase=terms.phase,
        run_level=terms.run_level,
        cash=free_cash(bot.connection_id).free,
        allocated_capital=bot.allocated_capital,
        capital_in_use=_capital_in_use(ledger),
        risk=_risk(terms, ledger, market),
        instruments=tuple(_instrument(terms, config, ledger, facts, market) for config in terms.configs),
        previous_trading_on=facts.previous_trading_on,
        next_trading_on=facts.next_trading_on,
    )


# --- per instrument ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """Counts and names by instrument or position, each from one query."""

    freezes: Mapping[UUID, str]
    corporate_actions: frozenset[UUID]
    entries_today: Mapping[UUID, int]
    last_exits: Mapping[UUID, datetime]
    final_exits: Mapping[UUID, int]
    sip_done: frozenset[UUID]
    previous_trading_on: date | None
    next_trading_on: date | None
    filters: Mapping[UUID, FilterFacts]
    session_closes: Mapping[UUID, Decimal]

    @classmethod
    def read(cls, terms: CycleTerms, ledger: _Ledger) -> "_Facts":
        instruments = [config.instrument for config in terms.configs]
        around = _dates_around(terms)
        freezes = EntryFreeze.objects.filter(connection_id=terms.bot.connection_id, cleared_at=None)
        names: dict[UUID, list[str]] = defaultdict(list)
        for instrument_id, reason in freezes.order_by("reason").values_list("instrument_id", "reason"):
            names[instrument_id].append(reason)
        corporate = EntryFreeze.Reason.CORPORATE_ACTION.value
        return cls(
            freezes={instrument_id: ", ".join(reasons) for instrument_id, reasons in names.items()},
            corporate_actions=frozenset(pk for pk, reasons in names.items() if corporate in reasons),
            entries_today=_entries_today(terms),
            last_exits=_last_exits(terms),
            final_exits=_final_exits(ledger.own_positions),
            sip_done=_sip_done(terms, *around),
            previous_trading_on=around[0],
            next_trading_on=around[1],
            filters=filter_facts(terms.params, instruments, own=_own_feed(terms), now=terms.now),
            session_closes=_session_closes(terms, instruments),
        )


def _instrument(
    terms: CycleTerms, config: InstrumentConfig, ledger: _Ledger, facts: _Facts, market: MarketFacts
) -> InstrumentSnapshot:
    instrument = config.instrument
    pk = instrument.pk
    orders = [order for order in ledger.orders if order.instrument_id == pk]
    position = next((held for held in ledger.own_positions if held.instrument_id == pk), None)
    quote = market.quotes.get(pk)
    return InstrumentSnapshot(
        instrument=_engine_instrument(instrument),
        indicator=market.readings.get(pk),
        quote=None if quote is None else Quote(last_price=quote.last_price, at=quote.at),
        position=None if position is None else _position(position, facts),
        is_enabled=config.is_enabled and instrument.is_active,
        has_working_entry=any(order.side == Side.BUY and order.state not in _UNSETTLED for order in orders),
        has_working_exit=any(
            order.side == Side.SELL and order.blocks and order.state not in _UNSETTLED and not _stands_by(order)
            for order in orders
        ),
        has_unknown_order=any(order.state in _UNSETTLED for order in orders),
        has_unknown_exit=any(
            order.side == Side.SELL and order.state in _UNSETTLED and order.blocks for order in orders
        ),
        held_elsewhere=_held_elsewhere(instrument, ledger),
        exposure=_exposure(instrument, ledger, market),
        entries_today=facts.entries_today.get(pk, 0),
        candles_since_exit=_candles_since(terms, instrument, facts.last_exits.get(pk)),
        entry_freeze=facts.freezes.get(pk),
        corporate_action_hold=pk in facts.corporate_actions,
        sip_done=pk in facts.sip_done if terms.params_of(pk).mode is Mode.SIP else None,
        params=terms.own.get(pk),
        limits=share_limits(config.limits) if config.limits else None,
        settings_version=config.settings_version,
        overnight=overnight_facts(instrument, quote, facts.session_closes.get(pk), own=_own_feed(terms)),
        filters=facts.filters[pk],
    )


def _stands_by(order: OrderIntent) -> bool:
    """Return whether the order only waits at the broker for its stop: such a one makes way for a sale."""
    return order.purpose == Purpose.PROTECT and order.state != OrderState.PARTIAL


def _engine_instrument(instrument: Instrument) -> EngineInstrument:
    return EngineInstrument(
        instrument_id=str(instrument.pk),
        exchange=instrument.exchange,
        tradingsymbol=instrument.tradingsymbol,
        tick_size=instrument.tick_size,
        lot_size=instrument.lot_size,
        share_id=instrument.share_id,
        freeze_quantity=instrument.freeze_quantity,
        sector=instrument.sector or None,
        charge_class=ChargeClass(instrument.charge_class),
    )


def _position(position: Position, facts: _Facts) -> PositionSnapshot:
    return PositionSnapshot(
        position_id=str(position.pk),
        quantity=position.quantity,
        average_price=position.average_price,
        highest_price=position.highest_price,
        entered_at=position.opened_at,
        exit_no=facts.final_exits.get(position.pk, 0) + 1,
        entry_charges=position.entry_charges,
        stop_price=position.stop_price,
        target_price=position.target_price,
    )


def _held_elsewhere(instrument: Instrument, ledger: _Ledger) -> bool:
    """Return whether the same share is held or working under another bot or another listing of the connection."""
    rows: list[Position | OrderIntent] = [*ledger.positions, *(o for o in ledger.orders if o.side == Side.BUY)]
    return any(
        row.instrument.share_id == instrument.share_id
        and (row.bot_id != ledger.bot_id or row.instrument_id != instrument.pk)
        for row in rows
    )


def _exposure(instrument: Instrument, ledger: _Ledger, market: MarketFacts) -> Decimal:
    """Return what the account has in this share, at the last price where one is known, else at cost."""
    total = _NOTHING
    for position in ledger.positions:
        if position.instrument.share_id == instrument.share_id:
            quote = market.quotes.get(position.instrument_id)
            total += position.quantity * (position.average_price if quote is None else quote.last_price)
    for order in ledger.orders:
        if order.side == Side.BUY and order.instrument.share_id == instrument.share_id:
            total += order.reserved_cash
    return total


def _candles_since(terms: CycleTerms, instrument: Instrument, exit_at: datetime | None) -> int | None:
    """Return how many candles closed since an exit, counted no further than the cooldown asks for."""
    if exit_at is None:
        return None
    count, at = 0, exit_at
    rhythm = terms.rhythm
    while count <= terms.params_of(instrument.pk).cooldown_candles:
        candle = calendar.next_candle(rhythm.exchange, rhythm.timeframe, at, instrument.session_class)
        if candle is None or candle.closed_at > terms.now:
            return count
        count, at = count + 1, candle.closed_at
    return count


# --- the books --------------------------------------------------------------------------------------------------------


def _ledger(bot: Bot) -> _Ledger:
    positions = Position.objects.filter(connection_id=bot.connection_id, closed_at=None, quantity__gt=0)
    orders = OrderIntent.objects.filter(connection_id=bot.connection_id, state__in=LIVE_STATES)
    return _Ledger(
        positions=list(positions.select_related("instrument")),
        orders=list(orders.select_related("instrument")),
        bot_id=bot.pk,
    )


def _capital_in_use(ledger: _Ledger) -> Decimal:
    held = sum((position.quantity * position.average_price for position in ledger.own_positions), _NOTHING)
    return held + sum((order.reserved_cash for order in ledger.own_entries), _NOTHING)


def _day_start(terms: CycleTerms) -> datetime:
    on = calendar.trading_date(terms.rhythm.exchange, terms.now)
    return calendar.session_opened_at(terms.rhythm.exchange, on) or terms.now


def _made_today(terms: CycleTerms) -> Q:
    """Select rows by their age: they are stamped by the database's clock, and the day is one of business time."""
    return Q(created_at__gte=ClockTimestamp() - (terms.now - _day_start(terms)))


def _entries_today(terms: CycleTerms) -> dict[UUID, int]:
    """Return how many entries of each instrument were made today; one that never was in the market does not count."""
    entries = OrderIntent.objects.filter(
        _made_today(terms),
        Q(state__in=LIVE_STATES) | Q(filled_quantity__gt=0),
        bot=terms.bot,
        purpose__in=[Purpose.ENTRY, Purpose.SIP],
    )
    return dict(entries.values_list("instrument_id").annotate(Count("id")))


def _last_exits(terms: CycleTerms) -> dict[UUID, datetime]:
    cooldown = max(params.cooldown_candles for params in (terms.params, *terms.own.values()))
    if not cooldown:
        return {}
    rhythm = terms.rhythm
    since = min(
        calendar.candles_ago(rhythm.exchange, rhythm.timeframe, terms.now, cooldown + 2, session_class)
        for session_class in rhythm.session_classes
    )
    closed = Position.objects.filter(bot=terms.bot, closed_at__gte=since)
    return dict(closed.values_list("instrument_id").annotate(Max("closed_at")))


def _final_exits(positions: Sequence[Position]) -> dict[UUID, int]:
    """Return how many exits of each lot cannot fill any more; the next one's number is one higher."""
    if not positions:
        return {}
    over = Q(state__in=[state.value for state in FINAL]) | Q(state=OrderState.DEAD) | Q(blocks=False)
    exits = OrderIntent.objects.filter(over, position__in=positions, side=Side.SELL).exclude(purpose=Purpose.PROTECT)
    return dict(exits.values_list("position_id").annotate(Count("id")))


def _sip_done(terms: CycleTerms, previous_on: date | None, next_on: date | None) -> frozenset[UUID]:
    """Return the instruments whose instalment of this period was ordered; the others' modes know no instalments."""
    on = calendar.trading_date(terms.rhythm.exchange, terms.now)
    plans = [config.instrument_id for config in terms.configs if terms.params_of(config.instrument_id).mode is Mode.SIP]
    if not plans:
        return frozenset()
    keys = []
    for instrument_id in plans:
        params = terms.params_of(instrument_id)
        period = instalment_of(params, on, previous_trading_on=previous_on, next_trading_on=next_on).period
        keys.append(
            sip_key(connection_id=str(terms.bot.connection_id), instrument_id=str(instrument_id), period=period)
        )
    made = OrderIntent.objects.filter(intent_key__in=keys)
    return frozenset(made.values_list("instrument_id", flat=True))


def _own_feed(terms: CycleTerms) -> str:
    return own_feed(facts_of(terms.bot.connection))


def _closes_before(instrument_ids: Sequence[UUID], terms: CycleTerms, at: datetime) -> dict[UUID, Decimal]:
    return closes_before(instrument_ids, timeframe=terms.rhythm.timeframe, own=_own_feed(terms), at=at)


def _dates_around(terms: CycleTerms) -> tuple[date | None, date | None]:
    """Return the trading dates before and after today, which instalments alone ask for; None where none is known."""
    if all(terms.params_of(config.instrument_id).mode is not Mode.SIP for config in terms.configs):
        return None, None
    exchange = terms.rhythm.exchange
    on = calendar.trading_date(exchange, terms.now)
    return _trading_date_beside(exchange, on, -1), _trading_date_beside(exchange, on, 1)


def _trading_date_beside(exchange: str, on: date, step: int) -> date | None:
    days = (on + timedelta(days=step * offset) for offset in range(1, _LONGEST_CLOSURE_DAYS))
    return next((day for day in days if calendar.session_opened_at(exchange, day) is not None), None)


def _session_closes(terms: CycleTerms, instruments: Sequence[Instrument]) -> dict[UUID, Decimal]:
    """Return the last close before today's open of what has nights, as its feed gave it and nobody adjusted it."""
    if terms.rhythm.exchange in calendar.ALWAYS_OPEN:
        return {}
    return _closes_before([instrument.pk for instrument in instruments], terms, _day_start(terms))


# --- risk -------------------------------------------------------------------------------------------------------------


def _risk(terms: CycleTerms, ledger: _Ledger, market: MarketFacts) -> tuple[RiskScope, ...]:
    """Return the bot's limits, and the account's beside them where it has set any, each with their use."""
    own = RiskScope(name="bot", limits=terms.limits, usage=_usage(terms, ledger, market))
    if terms.account is None:
        return (own,)
    prices = {pk: quote.last_price for pk, quote in market.quotes.items()}
    account = account_scope(terms.account, terms.bot, prices=prices, exchange=terms.rhythm.exchange, now=terms.now)
    return (own, account)


def _usage(terms: CycleTerms, ledger: _Ledger, market: MarketFacts) -> RiskUsage:
    """Return what the bot has used of its limits. What only an unset limit would ask for is not read."""
    limits, bot, now, started_at = terms.limits, terms.bot, terms.now, _day_start(terms)
    prices = {pk: quote.last_price for pk, quote in market.quotes.items()}
    entries = [order for order in ledger.orders if order.side == Side.BUY]
    held = {position.instrument_id for position in ledger.own_positions}
    working = {order.instrument_id for order in ledger.own_entries}
    losses = limits.pause_after_losses
    starts = StopRequest.objects.filter(scope=RunControl.Scope.BOT, scope_id=bot.pk)
    return RiskUsage(
        capital_in_use=_capital_in_use(ledger),
        open_positions=len(held | working),
        day_pnl=gained_since(started_at, Fill.objects.filter(intent__bot=bot), ledger.own_positions, prices)
        if limits.daily_loss is not None
        else None,
        orders_today=orders_since(OrderIntent.objects.filter(bot=bot), started_at, now)
        if limits.max_orders_per_day is not None
        else None,
        losses_in_row=losses_in_row(Position.objects.filter(bot=bot), starts, enough=losses, now=now)
        if losses
        else None,
        sector_exposure=by_sector(exposures(ledger.positions, entries, prices))
        if limits.max_sector_exposure is not None
        else None,
        daily_loss_reached=limits.daily_loss is not None
        and loss_was_reached(Decision.objects.filter(bot=bot), scope="bot", since=started_at),
    )
