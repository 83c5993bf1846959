"""The first half of a cycle: whose slot it is, and whether there is anything to judge.

A slot belongs to the delivery that inserted its row, or that took it over from a worker whose lease ran out. What is
not judged is written down with its reason: late, stopped, market closed. All of it happens in one short tenant scope.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from apps.common import events, logs
from apps.common.errors import ArunError
from apps.common.ids import uuid7
from apps.common.models import WorkItem
from apps.engine.model.choices import MarketPhase, RunLevel, Timeframe, Trigger
from apps.engine.model.params import RiskLimits, StrategyParams
from apps.market import calendar
from apps.market.models import Instrument
from apps.trading.account_risk import AccountLimits, account_limits, held_beside
from apps.trading.models import Bot, ClockTimestamp, CycleRun, InstrumentConfig, ParameterSet, Position
from apps.trading.overrides import effective_params
from apps.trading.selectors import run_level
from apps.trading.services.work import work_finish
from apps.trading.slots import (
    CandleSlot,
    PriceSlot,
    Rhythm,
    closes_with,
    due_moment,
    price_slot,
    slot_after,
    slot_at,
    slots_between,
    trigger_of,
)

log = logs.get(__name__)

LEASE_SECONDS = 25.0
"""How long a started cycle is believed alive; less than the dispatcher's lease: a redelivery shall find it over."""

MOST_DELIVERIES = 3
"""A slot that ended its worker so often is parked: the next delivery would do the same."""

STOPPED_RECHECK = timedelta(seconds=60)
"""How often a stopped bot's slot is looked at; starting it makes it due at once."""

UNKNOWN_CALENDAR_RECHECK = timedelta(hours=1)

MOST_SKIPPED_ROWS = 500
"""Missed slots written one by one after an outage; the last of them says how long it was."""

REASON_LENGTH = 120

_CLAIM_SLOT = """
INSERT INTO trading_cyclerun (id, tenant_id, bot_id, slot, trigger, state, reason, due_at, lease_until, deliveries,
                              strategy_hash)
VALUES (%s, %s, %s, %s, %s, 'STARTED', '', %s, clock_timestamp() + make_interval(secs => %s), 1, '')
ON CONFLICT (tenant_id, bot_id, slot) DO UPDATE
SET deliveries = trading_cyclerun.deliveries + 1, lease_until = excluded.lease_until, state = 'STARTED',
    reason = CASE WHEN trading_cyclerun.state = 'STARTED' THEN '' ELSE 'restarted' END, finished_at = NULL
WHERE (trading_cyclerun.state = 'STARTED' AND trading_cyclerun.lease_until < clock_timestamp())
   OR (%s AND trading_cyclerun.state = 'SKIPPED' AND trading_cyclerun.reason = 'stopped')
RETURNING id, deliveries, reason = 'restarted'
"""


class SlotLostError(ArunError):
    """Somebody took the slot over while this worker was slow. Write nothing; theirs counts."""

    code = "slot_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleReport:
    """What became of one delivery. `state` is the row's, or empty where there was nothing to do."""

    state: str = ""
    reason: str = ""
    cycle_id: UUID | None = None
    decisions: int = 0
    orders: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The row of a slot, held by this delivery. `deliveries` is its fence.

    `is_restart`: it was skipped while the bot was stopped, and the bot was started before its next candle.
    """

    cycle_id: UUID
    slot: str
    deliveries: int
    is_restart: bool = False

    @property
    def is_poison(self) -> bool:
        return self.deliveries > MOST_DELIVERIES and not self.is_restart


@dataclass(frozen=True, slots=True, kw_only=True)
class BotFacts:
    """A bot as it is set up now."""

    bot: Bot
    configs: Sequence[InstrumentConfig]
    parameters: ParameterSet
    params: StrategyParams
    rhythm: Rhythm
    account: AccountLimits | None = None

    @property
    def limits(self) -> RiskLimits:
        return RiskLimits.from_json(self.parameters.limits)

    @property
    def own(self) -> dict[UUID, StrategyParams]:
        """Return the whole set in force for each share that has parameters of its own."""
        return {
            config.instrument_id: effective_params(self.params, config.overrides)
            for config in self.configs
            if config.overrides
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A claimed slot that is to be judged, with the instruments it concerns; detached from its scope."""

    claim: Claim
    facts: BotFacts
    configs: Sequence[InstrumentConfig]
    trigger: Trigger
    due_at: datetime
    run_level: RunLevel
    next_due_at: datetime | None
    held_beside: Sequence[UUID] = ()
    """What other bots of the account hold, where its limits ask for the prices of that."""

    @property
    def bot(self) -> Bot:
        return self.facts.bot


def slot_open(*, bot_id: UUID, name: str, now: datetime) -> Opened | CycleReport:
    """Claim a slot for judgement, or report why there is nothing to judge."""
    bot = Bot.objects.select_related("connection", "parameters").filter(pk=bot_id).first()
    if bot is None or bot.archived_at is not None:
        work_finish(WorkItem.Kind.CYCLE, bot_id)
        return CycleReport(reason="no_bot")
    configs = list(InstrumentConfig.objects.filter(bot=bot).select_related("instrument").order_by("instrument_id"))
    if bot.parameters is None or not configs:
        slot_rearm(bot, now + STOPPED_RECHECK)
        return CycleReport(reason="not_set_up")
    params = StrategyParams.from_json(bot.parameters.params)
    rhythm = Rhythm(
        exchange=bot.connection.venue,
        timeframe=Timeframe(params.timeframe),
        session_classes=frozenset(config.instrument.session_class for config in configs),
    )
    facts = BotFacts(
        bot=bot, configs=configs, parameters=bot.parameters, params=params, rhythm=rhythm, account=account_limits()
    )
    if trigger_of(name) is Trigger.PRICE:
        return _open_price(facts, price_slot(name), now)
    return _open_candle(facts, due_moment(name), now)


def slot_end(
    claim: Claim, bot: Bot, *, state: CycleRun.State, reason: str, next_due_at: datetime | None
) -> CycleReport:
    """Close a slot without a judgement. One that somebody took over in between is left alone."""
    closed = held_rows(claim).update(state=state, reason=reason[:REASON_LENGTH], finished_at=ClockTimestamp())
    if not closed:
        return CycleReport(cycle_id=claim.cycle_id)
    slot_rearm(bot, next_due_at)
    report = CycleReport(state=state, reason=reason, cycle_id=claim.cycle_id)
    cycle_tell(claim, bot, report)
    return report


def slot_fail_unread(*, bot_id: UUID, name: str, code: str, now: datetime) -> CycleReport:
    """Write down a slot whose bot could not even be read, and look again in a while."""
    bot: Bot = Bot.objects.get(pk=bot_id)
    claim = _claim(bot, name, trigger_of(name), now)
    if claim is None:
        return CycleReport(reason="somebody_else")
    return slot_end(claim, bot, state=CycleRun.State.FAILED, reason=code, next_due_at=now + STOPPED_RECHECK)


def slot_rearm(bot: Bot, due_at: datetime | None) -> None:
    """Make the bot's next slot due and free it for a dispatcher. A bot without a work item stays without."""
    if due_at is not None:
        WorkItem.objects.filter(tenant_id=bot.tenant_id, kind=WorkItem.Kind.CYCLE, object_id=bot.pk).update(
            due_at=due_at, lease_until=None
        )


def held_rows(claim: Claim) -> QuerySet[CycleRun]:
    """Return the slot's row while this delivery holds it, and nothing after somebody took it over."""
    rows: QuerySet[CycleRun] = CycleRun.objects.filter(
        pk=claim.cycle_id, state=CycleRun.State.STARTED, deliveries=claim.deliveries
    )
    return rows


def cycle_tell(claim: Claim, bot: Bot, report: CycleReport) -> None:
    """Publish what became of a slot."""
    events.publish(
        "CycleFinished",
        tenant_id=bot.tenant_id,
        data={
            "bot": str(bot.pk),
            "cycle": str(claim.cycle_id),
            "slot": claim.slot,
            "state": str(report.state),
            "reason": report.reason[:REASON_LENGTH],
            "decisions": report.decisions,
            "orders": report.orders,
        },
    )


# --- candle slots -----------------------------------------------------------------------------------------------------


def _open_candle(facts: BotFacts, due_at: datetime, now: datetime) -> Opened | CycleReport:
    bot, rhythm = facts.bot, facts.rhythm
    slot = slot_at(rhythm, due_at)
    if slot is None or slot.due_at > now:
        slot_rearm(bot, now + UNKNOWN_CALENDAR_RECHECK if slot is None else slot.due_at)
        return CycleReport(reason="no_calendar_data" if slot is None else "not_due")
    following = slot_after(rhythm, slot.closed_at)
    next_due_at = following.due_at if following is not None else now + UNKNOWN_CALENDAR_RECHECK
    level = run_level(bot)
    if level >= RunLevel.STOP:
        next_due_at = max(next_due_at, now + STOPPED_RECHECK)
    claim = _claim(bot, slot.name, Trigger.CANDLE, slot.due_at, may_restart=level < RunLevel.STOP)
    if claim is None:
        return _already_there(bot, slot, next_due_at)
    if claim.is_poison:
        return _park(claim, bot, next_due_at)
    return _judge_or_skip(facts, slot, claim, level, next_due_at, now)


def _judge_or_skip(
    facts: BotFacts, slot: CandleSlot, claim: Claim, level: RunLevel, next_due_at: datetime, now: datetime
) -> Opened | CycleReport:
    bot, rhythm = facts.bot, facts.rhythm
    skipped = CycleRun.State.SKIPPED
    newest = slot_at(rhythm, now)
    if newest is not None and newest.closed_at > slot.closed_at:
        _note_missed(bot, rhythm, slot, newest)
        return slot_end(claim, bot, state=skipped, reason="late", next_due_at=newest.due_at)
    if level >= RunLevel.STOP:
        return slot_end(claim, bot, state=skipped, reason="stopped", next_due_at=next_due_at)
    judged = [
        config
        for config in facts.configs
        if _is_trading(config.instrument, now) and closes_with(rhythm, slot, config.instrument.session_class)
    ]
    if not judged:
        reason = f"market_closed: {_closed_reason(rhythm, now)}"
        return slot_end(claim, bot, state=skipped, reason=reason, next_due_at=next_due_at)
    return Opened(
        claim=claim,
        facts=facts,
        configs=judged,
        trigger=Trigger.CANDLE,
        due_at=slot.due_at,
        run_level=level,
        next_due_at=next_due_at,
        held_beside=_held_beside(facts),
    )


def _already_there(bot: Bot, slot: CandleSlot, next_due_at: datetime) -> CycleReport:
    """Leave a slot to whoever has it; if it is over, see to it that the bot does not wait for it for ever."""
    is_over = CycleRun.objects.filter(bot=bot, slot=slot.name).exclude(state=CycleRun.State.STARTED).exists()
    if is_over:
        WorkItem.objects.filter(
            tenant_id=bot.tenant_id, kind=WorkItem.Kind.CYCLE, object_id=bot.pk, due_at__lt=next_due_at
        ).update(due_at=next_due_at, lease_until=None)
    return CycleReport(reason="somebody_else")


def _note_missed(bot: Bot, rhythm: Rhythm, slot: CandleSlot, newest: CandleSlot) -> None:
    """Write a row for every slot between a late one and the newest, which is judged next."""
    missed = slots_between(rhythm, slot.closed_at, newest.closed_at, limit=MOST_SKIPPED_ROWS)
    last_reason = "late"
    if len(missed) == MOST_SKIPPED_ROWS:
        last_reason = f"late: not running until {newest.closed_at:%Y-%m-%d %H:%M:%S} UTC"
    CycleRun.objects.bulk_create(
        [
            CycleRun(
                id=uuid7(),
                tenant_id=bot.tenant_id,
                bot=bot,
                slot=item.name,
                trigger=Trigger.CANDLE.value,
                state=CycleRun.State.SKIPPED,
                reason=last_reason if item is missed[-1] else "late",
                due_at=item.due_at,
                finished_at=ClockTimestamp(),
            )
            for item in missed
        ],
        ignore_conflicts=True,
    )


def _closed_reason(rhythm: Rhythm, now: datetime) -> str:
    reasons = (calendar.closed_reason(rhythm.exchange, now, item) for item in sorted(rhythm.session_classes))
    return next((reason for reason in reasons if reason), "no candle ended")


# --- price slots ------------------------------------------------------------------------------------------------------


def _open_price(facts: BotFacts, slot: PriceSlot, now: datetime) -> Opened | CycleReport:
    """Claim the look at one position. Where nothing may leave anyway no row is made: the watch will ask again."""
    bot = facts.bot
    held = set(
        Position.objects.filter(pk=slot.position_id, bot=bot, closed_at=None).values_list("instrument_id", flat=True)
    )
    judged = [config for config in facts.configs if config.instrument_id in held]
    level = run_level(bot)
    nothing = _no_price_look(judged, level, now)
    if nothing:
        return CycleReport(reason=nothing)
    claim = _claim(bot, slot.name, Trigger.PRICE, slot.seen_at)
    if claim is None:
        return CycleReport(reason="somebody_else")
    if claim.is_poison:
        return _park(claim, bot, None)
    return Opened(
        claim=claim,
        facts=facts,
        configs=judged,
        trigger=Trigger.PRICE,
        due_at=slot.seen_at,
        run_level=level,
        next_due_at=None,
        held_beside=_held_beside(facts),
    )


def _no_price_look(judged: Sequence[InstrumentConfig], level: RunLevel, now: datetime) -> str:
    if not judged:
        return "no_position"
    if not _is_trading(judged[0].instrument, now):
        return "market_closed"
    return "stopped" if level >= RunLevel.STOP else ""


# --- both -------------------------------------------------------------------------------------------------------------


def _claim(bot: Bot, slot: str, trigger: Trigger, due_at: datetime, *, may_restart: bool = False) -> Claim | None:
    """Insert the slot's row, or take over one whose worker is believed dead; None where it is somebody's or done.

    With `may_restart`, also one that was skipped only because the bot was stopped.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _CLAIM_SLOT, [uuid7(), bot.tenant_id, bot.pk, slot, trigger.value, due_at, LEASE_SECONDS, may_restart]
        )
        row = cursor.fetchone()
    return None if row is None else Claim(cycle_id=row[0], slot=slot, deliveries=row[1], is_restart=row[2])


def _park(claim: Claim, bot: Bot, next_due_at: datetime | None) -> CycleReport:
    log.error("cycle_parked", cycle_id=str(claim.cycle_id), deliveries=claim.deliveries)
    events.publish(
        "CycleParked",
        tenant_id=bot.tenant_id,
        data={"bot": str(bot.pk), "cycle": str(claim.cycle_id), "slot": claim.slot},
    )
    return slot_end(claim, bot, state=CycleRun.State.FAILED, reason="parked", next_due_at=next_due_at)


def _held_beside(facts: BotFacts) -> list[UUID]:
    return held_beside(facts.bot) if facts.account is not None and facts.account.needs_prices else []


def _is_trading(instrument: Instrument, now: datetime) -> bool:
    return calendar.phase_at(instrument.exchange, now, instrument.session_class) is MarketPhase.CONTINUOUS
