"""One cycle of one bot: claim the slot, read, decide, write everything in one transaction.

The Redis lock saves double work and the unique row of the slot prevents it. Scopes are short; between them, outside of
any transaction, prices are fetched. A worker that dies leaves a row in state STARTED whose lease runs out; whoever
comes next takes it over and arrives at the same keys. A worker that comes back late finds the row taken and writes
nothing.
"""

import hashlib
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from uuid import UUID

from django.db import connection
from django.db.models import Q

import apps.engine
from apps.brokers.selectors import facts_of
from apps.common import clock, crash, logs
from apps.common.db import tenant_scope
from apps.common.errors import ArunError
from apps.common.ids import uuid7
from apps.common.keys import tenant_key
from apps.common.locks import LockUnavailableError, RedisLock
from apps.engine.cycle import decide
from apps.engine.errors import EngineError
from apps.engine.model.choices import MarketPhase, Purpose, Reason, Side, Timeframe, Trigger
from apps.engine.model.decision import Decision as EngineDecision
from apps.engine.model.decision import ProposedOrder, plain_numbers
from apps.engine.model.params import StrategyParams
from apps.engine.model.snapshot import CycleSnapshot, IndicatorReading
from apps.engine.replay import snapshot_to_bytes
from apps.market.choices import FeedId
from apps.market.errors import MarketDataError
from apps.market.feeds.keys import feed_of, own_feed
from apps.market.ingest import candles_catch_up
from apps.market.models import Instrument
from apps.market.planes import indicator_readings, is_behind, watch
from apps.market.quotes import CachedQuote, last_quotes, quotes_not_older
from apps.trading.claims import (
    CycleReport,
    Opened,
    SlotLostError,
    cycle_tell,
    held_rows,
    slot_end,
    slot_fail_unread,
    slot_open,
    slot_rearm,
)
from apps.trading.filter_facts import needs_daily_candles
from apps.trading.models import ClockTimestamp, CycleRun, Decision, EntryFreeze, Position
from apps.trading.services.freezes import entry_freeze
from apps.trading.services.intents import IntentTerms, intent_record
from apps.trading.services.levels import levels_refresh
from apps.trading.snapshots import CycleTerms, MarketFacts, cycle_snapshot

log = logs.get(__name__)

LOCK_SECONDS = 30.0
LOCK_WAIT_SECONDS = 2.0
"""How long a cycle waits for another one of the same bot; then the slot's row alone keeps them apart."""

QUOTE_AGE_SECONDS = 4.0
"""Prices older than this are fetched anew before a candle is judged; younger ones came from the price watch."""

PRICE_QUOTE_AGE_SECONDS = 1.0
"""A price cycle was woken by a price: it looks at a new one."""

ENTRY_LIFE = timedelta(seconds=60)
"""How long an entry may wait to be sent: its price was judged now."""

EXIT_LIFE = timedelta(minutes=5)
"""How long an exit may wait to be sent before it is judged anew under its next number."""

_LOCK_POLL_SECONDS = 0.05


_HOLD_SHARES = """
SELECT id, bot_id, is_enabled, settings_version FROM trading_instrumentconfig WHERE id = ANY (%s) FOR SHARE
"""


class SharesChangedError(ArunError):
    """A share was removed, moved or changed while its purchase was being decided. The next candle is judged anew."""

    code = "shares_changed"


@dataclass(slots=True)
class _Stopwatch:
    """Milliseconds of each step, for the log."""

    started: float = field(default_factory=time.perf_counter)
    last: float = field(default_factory=time.perf_counter)
    steps: dict[str, int] = field(default_factory=dict)

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.steps[f"{name}_ms"] = round((now - self.last) * 1000)
        self.last = now

    def total(self) -> dict[str, int]:
        return {**self.steps, "total_ms": round((time.perf_counter() - self.started) * 1000)}


def bot_run_cycle(*, tenant_id: UUID, bot_id: UUID, slot: str) -> CycleReport:
    """Run one slot of one bot, or find out that there is nothing to do. Safe to repeat and to kill at any point."""
    with logs.bind(tenant_id=tenant_id, bot_id=bot_id, slot=slot), _one_at_a_time(tenant_id, bot_id) as lock:
        stopwatch = _Stopwatch()
        opened = _open(tenant_id, bot_id, slot)
        if isinstance(opened, CycleReport):
            log.info("cycle_not_judged", state=str(opened.state), reason=opened.reason)
            return opened
        crash.here("cycle.claimed")
        stopwatch.lap("open")
        with logs.bind(cycle_id=opened.claim.cycle_id):
            return _judge(tenant_id, opened, lock, stopwatch)


def _open(tenant_id: UUID, bot_id: UUID, slot: str) -> Opened | CycleReport:
    now = clock.now()
    try:
        with tenant_scope(tenant_id):
            return slot_open(bot_id=bot_id, name=slot, now=now)
    except EngineError as error:
        log.exception("cycle_unreadable", code=error.code)
        with tenant_scope(tenant_id):
            return slot_fail_unread(bot_id=bot_id, name=slot, code=error.code, now=now)


def _judge(tenant_id: UUID, opened: Opened, lock: RedisLock, stopwatch: _Stopwatch) -> CycleReport:
    try:
        market = _market_facts(opened, clock.now())
        stopwatch.lap("fetch")
        _renew(lock)
        with tenant_scope(tenant_id):
            report = _finish(opened, market, stopwatch)
        crash.here("cycle.committed")
    except SlotLostError as error:
        log.warning("cycle_slot_lost", error=error.message)
        return CycleReport(cycle_id=opened.claim.cycle_id, reason=error.code)
    except Exception as error:
        # Whatever went wrong with this slot, the bot's next candle is judged anew and the other bots go on.
        code = error.code if isinstance(error, ArunError | EngineError) else type(error).__name__
        log.exception("cycle_failed", code=code)
        with tenant_scope(tenant_id):
            return slot_end(
                opened.claim,
                opened.bot,
                state=CycleRun.State.FAILED,
                reason=code,
                next_due_at=opened.next_due_at,
            )
    steps = stopwatch.total()
    log.info("cycle_finished", state=str(report.state), decisions=report.decisions, orders=report.orders, **steps)
    return report


@contextmanager
def _one_at_a_time(tenant_id: UUID, bot_id: UUID) -> Iterator[RedisLock]:
    """Wait a moment for another cycle of the same bot. Without Redis the slot's row alone decides."""
    lock = RedisLock(tenant_key(tenant_id, "cycle", bot_id), ttl_seconds=LOCK_SECONDS)
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    is_mine = False
    try:
        is_mine = lock.acquire()
        while not is_mine and time.monotonic() < deadline:
            time.sleep(_LOCK_POLL_SECONDS)
            is_mine = lock.acquire()
    except LockUnavailableError:
        log.warning("cycle_without_lock")
    try:
        yield lock
    finally:
        if is_mine:
            _release(lock)


def _release(lock: RedisLock) -> None:
    try:
        lock.release()
    except LockUnavailableError:
        return  # it ends by its time to live


def _renew(lock: RedisLock) -> None:
    try:
        lock.renew()
    except LockUnavailableError:
        return  # the slot's row keeps others away


# --- outside any transaction: the market ------------------------------------------------------------------------------


def _market_facts(opened: Opened, now: datetime) -> MarketFacts:
    """Return readings and last prices; what a feed did not give is missing, and the engine will say so."""
    readings: dict[UUID, IndicatorReading] = {}
    quotes: dict[UUID, CachedQuote] = {}
    own = own_feed(facts_of(opened.bot.connection))
    for feed_id in sorted({feed_of(config.instrument, own) for config in opened.configs}):
        instruments = [config.instrument for config in opened.configs if feed_of(config.instrument, own) == feed_id]
        if feed_id == FeedId.NONE:
            params = opened.facts.params
            readings |= indicator_readings(feed_id, instruments, Timeframe(params.timeframe), params.rsi_period, now)
        elif opened.trigger is Trigger.CANDLE:
            readings |= _readings(feed_id, instruments, opened.facts.params, now)
            if needs_daily_candles(opened.facts.params):
                _fetch_days(feed_id, instruments, now)
            quotes |= _quotes(feed_id, instruments, QUOTE_AGE_SECONDS)
        else:
            quotes |= _quotes(feed_id, instruments, PRICE_QUOTE_AGE_SECONDS)
    # The price watch keeps the prices of everything held fresh; a share of this bot has its own from above.
    quotes = last_quotes(pk for pk in opened.held_beside if pk not in quotes) | quotes
    return MarketFacts(readings=readings, quotes=quotes)


def _readings(
    feed_id: str, instruments: Sequence[Instrument], params: StrategyParams, now: datetime
) -> dict[UUID, IndicatorReading]:
    timeframe, period = Timeframe(params.timeframe), params.rsi_period
    watch(feed_id, [instrument.pk for instrument in instruments], timeframe, now)
    readings = indicator_readings(feed_id, instruments, timeframe, period, now)
    behind = [each for each in instruments if is_behind(readings[each.pk], each, timeframe, now)]
    if not behind:
        return readings
    try:
        candles_catch_up(feed_id, timeframe, behind, now)
    except MarketDataError as error:
        log.warning("cycle_without_candles", feed=feed_id, error=error.message)
        return readings
    return readings | indicator_readings(feed_id, behind, timeframe, period, now)


def _fetch_days(feed_id: str, instruments: Sequence[Instrument], now: datetime) -> None:
    """Have the daily candles fetched that tell a share's usual day; without them the filter denies by its name."""
    watch(feed_id, [instrument.pk for instrument in instruments], Timeframe.D1, now)
    try:
        candles_catch_up(feed_id, Timeframe.D1, instruments, now)
    except MarketDataError as error:
        log.warning("cycle_without_days", feed=feed_id, error=error.message)


def _quotes(feed_id: str, instruments: Sequence[Instrument], max_age_seconds: float) -> dict[UUID, CachedQuote]:
    try:
        return quotes_not_older(feed_id, instruments, now=clock.now(), max_age_seconds=max_age_seconds)
    except MarketDataError as error:
        log.warning("cycle_without_quotes", feed=feed_id, error=error.message)
        return {}


# --- the second scope: decide and write, in one transaction -----------------------------------------------------------


def _finish(opened: Opened, market: MarketFacts, stopwatch: _Stopwatch) -> CycleReport:
    snapshot = cycle_snapshot(_terms(opened, clock.now()), market)
    stopwatch.lap("read")
    decisions = decide(snapshot)
    stopwatch.lap("decide")
    cycle = _close(opened, snapshot)
    kept = _worth_keeping(opened, decisions)
    _write_decisions(opened, cycle, kept, snapshot.now)
    _hold_shares(opened, decisions)
    _hold_corporate_actions(opened, decisions)
    orders = sum(_record(opened, cycle, decision, snapshot.now) for decision in decisions)
    _raise_highest(opened, market)
    slot_rearm(opened.bot, opened.next_due_at)
    report = CycleReport(state=CycleRun.State.DONE, cycle_id=opened.claim.cycle_id, decisions=len(kept), orders=orders)
    cycle_tell(opened.claim, opened.bot, report)
    stopwatch.lap("write")
    return report


def _terms(opened: Opened, now: datetime) -> CycleTerms:
    facts = opened.facts
    return CycleTerms(
        bot=facts.bot,
        configs=opened.configs,
        params=facts.params,
        params_version=facts.parameters.version,
        limits=facts.limits,
        rhythm=facts.rhythm,
        trigger=opened.trigger,
        slot_at=opened.due_at,
        now=now,
        run_level=opened.run_level,
        phase=MarketPhase.CONTINUOUS,
        own=facts.own,
        account=facts.account,
    )


def _close(opened: Opened, snapshot: CycleSnapshot) -> CycleRun:
    """Write the snapshot and end the slot first: whoever lost it stops here, with nothing written."""
    closed = held_rows(opened.claim).update(
        state=CycleRun.State.DONE,
        reason="",
        finished_at=ClockTimestamp(),
        parameters_id=opened.facts.parameters.pk,
        tenant_limits_version=0 if opened.facts.account is None else opened.facts.account.version,
        strategy_hash=engine_hash(),
        snapshot=zlib.compress(snapshot_to_bytes(snapshot)),
    )
    if not closed:
        raise SlotLostError(f"slot {opened.claim.slot} was taken over")
    return CycleRun(id=opened.claim.cycle_id, tenant_id=opened.bot.tenant_id, bot_id=opened.bot.pk)


def _worth_keeping(opened: Opened, decisions: Sequence[EngineDecision]) -> list[EngineDecision]:
    """Return every decision on a candle; between candles those that order something or differ from the last one."""
    if opened.trigger is Trigger.CANDLE:
        return list(decisions)
    newest = Decision.objects.filter(
        bot=opened.bot, instrument__in=[config.instrument_id for config in opened.configs]
    ).order_by("instrument_id", "-decided_at", "-id")
    last = {
        instrument_id: (action, reason)
        for instrument_id, action, reason in newest.distinct("instrument_id").values_list(
            "instrument_id", "action", "reason"
        )
    }
    return [
        decision
        for decision in decisions
        if decision.order is not None
        or last.get(UUID(decision.instrument_id)) != (decision.action.value, decision.reason.value)
    ]


def _write_decisions(
    opened: Opened, cycle: CycleRun, decisions: Sequence[EngineDecision], decided_at: datetime
) -> None:
    versions = {str(config.instrument_id): config.settings_version for config in opened.configs}
    Decision.objects.bulk_create(
        Decision(
            id=uuid7(),
            tenant_id=cycle.tenant_id,
            cycle_id=cycle.pk,
            bot_id=cycle.bot_id,
            instrument_id=UUID(decision.instrument_id),
            action=decision.action.value,
            reason=decision.reason.value,
            numbers=plain_numbers(decision.numbers),
            order=None if decision.order is None else _plain_order(decision.order),
            settings_version=versions[decision.instrument_id],
            decided_at=decided_at,
        )
        for decision in decisions
    )


def _hold_shares(opened: Opened, decisions: Sequence[EngineDecision]) -> None:
    """Hold the rows of the shares that are about to be bought until the commit, or give the cycle up.

    They were read before prices were fetched. Whoever removes, moves or switches off a share locks its row, and so
    either sees the order that is recorded here or is seen by this query.
    """
    bought = {UUID(each.instrument_id) for each in decisions if each.order is not None and each.order.side is Side.BUY}
    if not bought:
        return
    read = {config.pk: config for config in opened.configs if config.instrument_id in bought}
    with connection.cursor() as cursor:
        cursor.execute(_HOLD_SHARES, [list(read)])
        now = {row[0]: row[1:] for row in cursor.fetchall()}
    for pk, config in read.items():
        if now.get(pk) != (opened.bot.pk, config.is_enabled, config.settings_version):
            raise SharesChangedError(f"{config.instrument.tradingsymbol} was changed while it was judged")


def _hold_corporate_actions(opened: Opened, decisions: Sequence[EngineDecision]) -> None:
    """Freeze what the night restated until a person has looked: tomorrow's prices alone would not show it any more."""
    for decision in decisions:
        if decision.reason is Reason.CORPORATE_ACTION and decision.numbers:
            entry_freeze(
                connection_id=opened.bot.connection_id,
                instrument_id=UUID(decision.instrument_id),
                reason=EntryFreeze.Reason.CORPORATE_ACTION,
                data=plain_numbers(decision.numbers),
            )


def _plain_order(order: ProposedOrder) -> dict[str, object]:
    return {
        "key": order.key,
        "purpose": order.purpose.value,
        "side": order.side.value,
        "quantity": order.quantity,
        "order_type": order.order_type.value,
        "limit_price": None if order.limit_price is None else format(order.limit_price, "f"),
        "reserved_amount": format(order.reserved_amount, "f"),
    }


def _record(opened: Opened, cycle: CycleRun, decision: EngineDecision, now: datetime) -> bool:
    """Write the wish down; return whether it is new. Its key makes a repeated cycle's wish the same one."""
    order = decision.order
    if order is None:
        return False
    position_id = None if order.position_id is None else UUID(order.position_id)
    intent = intent_record(
        bot=opened.bot,
        instrument_id=UUID(decision.instrument_id),
        terms=IntentTerms(
            key=order.key,
            purpose=order.purpose,
            side=order.side,
            quantity=order.quantity,
            order_type=order.order_type,
            limit_price=order.limit_price,
            product=order.product,
            validity=order.validity,
            reserved_cash=order.reserved_amount,
            exit_reason=order.reason.value if order.purpose is Purpose.EXIT else "",
        ),
        expires_at=now + (ENTRY_LIFE if position_id is None else EXIT_LIFE),
        cycle=cycle,
        position=None if position_id is None else Position.objects.get(pk=position_id),
    )
    if intent is None:
        log.info("order_already_there", key=order.key)
    return intent is not None


def _raise_highest(opened: Opened, market: MarketFacts) -> None:
    """Raise the highest price since entry of the lots looked at, and with it the level of a trailing stop."""
    facts = opened.facts
    if all(params.trailing_stop_percent is None for params in (facts.params, *facts.own.values())):
        return
    held = Position.objects.filter(
        bot=opened.bot, closed_at=None, instrument__in=[config.instrument_id for config in opened.configs]
    )
    for position in held.select_related("bot__parameters"):
        quote = market.quotes.get(position.instrument_id)
        if quote is None:
            continue
        lower = Q(highest_price=None) | Q(highest_price__lt=quote.last_price)
        if Position.objects.filter(lower, pk=position.pk, closed_at=None).update(highest_price=quote.last_price):
            position.refresh_from_db(fields=["highest_price", "quantity"])
            levels_refresh(position)


@cache
def engine_hash() -> str:
    """Return the SHA-256 of the engine's source: which code a stored snapshot was decided by."""
    digest = hashlib.sha256()
    root = Path(next(iter(apps.engine.__path__)))
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
