"""The bot cards and the readiness strip of Home."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, Greatest, JSONObject

from apps.brokers.choices import SessionState
from apps.brokers.models import BrokerConnection
from apps.common import clock
from apps.common.models import WorkItem
from apps.engine.model.choices import RunLevel
from apps.engine.model.params import RiskLimits, StrategyParams
from apps.market import calendar
from apps.market.quotes import CachedQuote
from apps.trading.models import (
    IN_FLIGHT_STATES,
    AccountState,
    Bot,
    CycleRun,
    EntryFreeze,
    InstrumentConfig,
    OrderIntent,
    OutsideTrade,
    Position,
    PositionLevels,
    StopRequest,
)
from apps.web import formats, words
from apps.web.selectors import equity
from apps.web.selectors.above import StopAbove, above_of_each_bot, stops_of
from apps.web.selectors.frame import business
from apps.web.selectors.hours import hours_line

BOOKS_OLD_SECONDS = 60
PRICE_OLD_SECONDS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelButton:
    """One of a bot's buttons: where it leads, and whether the bot is there already."""

    slug: str
    words: words.LevelWords
    is_current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BotCard:
    """A bot as its card shows it."""

    id: UUID
    name: str
    mode: str
    strategy_version: int
    timeframe: str
    capital: Decimal
    instruments: int
    open_positions: int
    pnl_today: Decimal | None
    level: RunLevel
    state: str
    state_kind: str
    promise: str
    stop_id: UUID | None
    is_draining: bool
    in_flight: int
    held_by: str
    next_cycle_at: datetime | None
    last_cycle_at: datetime | None
    last_cycle_text: str
    buttons: tuple[LevelButton, ...]
    revoke_slug: str
    hours: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BotFacts:
    """A bot with all that its card and the readiness strip need beside its row."""

    bot: Bot
    next_cycle_at: datetime | None
    last_cycle_due_at: datetime | None
    last_cycle_state: str | None
    last_cycle_reason: str | None
    open_positions: int
    in_flight: int
    watched_ids: list[UUID]
    frozen: int
    differs: int
    above: tuple[StopAbove, ...]
    watched_names: list[str]
    last_act_at: datetime | None
    equity_newest: equity.Doc
    equity_before: equity.Doc
    equity_first: equity.Doc

    @property
    def worth(self) -> equity.EquityToday | None:
        """Return the figures of the bot's account; other bots may trade on it too."""
        return equity.today_of(newest=self.equity_newest, before=self.equity_before, first=self.equity_first)

    @property
    def pnl_today(self) -> Decimal | None:
        today = self.worth
        return None if today is None else today.bots.get(str(self.bot.pk), Decimal(0))


LEVEL_SLUGS = {
    RunLevel.RUNNING: "start",
    RunLevel.PAUSE_ENTRIES: "pause",
    RunLevel.STOP: "stop",
    RunLevel.FLATTEN: "flatten",
    RunLevel.REVOKE: "revoke",
}
SLUG_LEVELS = {slug: level for level, slug in LEVEL_SLUGS.items()}
_CARD_LEVELS = (RunLevel.RUNNING, RunLevel.PAUSE_ENTRIES, RunLevel.STOP, RunLevel.FLATTEN)


def _count(rows: QuerySet[Any], *, by: str = "bot_id") -> Coalesce:
    counted = rows.order_by().values(by).annotate(count=Count("*")).values("count")
    return Coalesce(Subquery(counted), 0)


def bots_with_facts(now: datetime) -> list[BotFacts]:
    """Return the tenant's bots with everything that their cards and the strip need, in one query."""
    last = CycleRun.objects.filter(bot_id=OuterRef("pk")).order_by("-due_at")
    freezes = EntryFreeze.objects.filter(connection_id=OuterRef("connection_id"), cleared_at=None)
    watched = InstrumentConfig.objects.filter(bot_id=OuterRef("pk"), is_enabled=True).order_by(
        "instrument__tradingsymbol", "id"
    )
    changed = PositionLevels.objects.filter(position__bot_id=OuterRef("pk")).order_by("-changed_at")
    said = OutsideTrade.objects.filter(bot_id=OuterRef("pk")).order_by("-decided_at")
    due = WorkItem.objects.filter(
        tenant_id=OuterRef("tenant_id"), kind=WorkItem.Kind.CYCLE, object_id=OuterRef("pk")
    ).values("due_at")
    rows = (
        Bot.objects.filter(archived_at=None)
        .select_related("connection__account_state", "parameters")
        .annotate(
            fact_next_cycle_at=Subquery(due[:1]),
            fact_last_cycle=Subquery(last.values(doc=JSONObject(due_at="due_at", state="state", reason="reason"))[:1]),
            fact_open_positions=_count(Position.objects.filter(bot_id=OuterRef("pk"), closed_at=None)),
            fact_in_flight=_count(OrderIntent.objects.filter(bot_id=OuterRef("pk"), state__in=IN_FLIGHT_STATES)),
            fact_watched_ids=ArraySubquery(watched.values("instrument_id")),
            fact_watched_names=ArraySubquery(watched.values("instrument__tradingsymbol")),
            fact_last_act_at=Greatest(
                Subquery(changed.values("changed_at")[:1]), Subquery(said.values("decided_at")[:1])
            ),
            **{f"fact_{name}": points for name, points in equity.equity_facts(OuterRef("connection_id"), now).items()},
            fact_frozen=_count(freezes, by="connection_id"),
            fact_differs=_count(freezes.filter(reason=EntryFreeze.Reason.POSITION_DIFFERS), by="connection_id"),
            fact_above=above_of_each_bot(),
        )
        .order_by("created_at")
    )
    return [_facts(row) for row in rows]


def _facts(row: Any) -> BotFacts:
    cycle = row.fact_last_cycle or {}
    due_at = cycle.get("due_at")
    made = {
        "bot": row,
        "above": stops_of(row.fact_above),
        "last_cycle_due_at": datetime.fromisoformat(due_at) if due_at else None,
        "last_cycle_state": cycle.get("state"),
        "last_cycle_reason": cycle.get("reason"),
    }
    names = [field.name for field in fields(BotFacts) if field.name not in made]
    return BotFacts(**made, **{name: getattr(row, f"fact_{name}") for name in names})


def newest_stops() -> dict[UUID, StopRequest]:
    """Return the newest request of each of the tenant's own scopes, by the scope's id, with its acknowledgement."""
    rows = (
        StopRequest.objects.select_related("acknowledgement")
        .order_by("scope", "scope_id", "-epoch")
        .distinct("scope", "scope_id")
    )
    return {row.scope_id: row for row in rows}


def bot_card(facts: BotFacts, stops: dict[UUID, StopRequest]) -> BotCard:
    """Return the card of a bot that `bots_with_facts` read."""
    bot = facts.bot
    own, tenant_wide = stops.get(bot.pk), stops.get(bot.tenant_id)
    level, held_by = _effective(facts, own, tenant_wide)
    deciding = own if own is not None and own.level == level else tenant_wide
    draining = next((stop for stop in (own, tenant_wide) if stop is not None and not _is_acknowledged(stop)), None)
    state_words = (
        words.FLAT_WORDS if level is RunLevel.FLATTEN and not facts.open_positions else words.LEVEL_WORDS[level]
    )
    params = StrategyParams.from_json(bot.parameters.params) if bot.parameters else None
    return BotCard(
        id=bot.pk,
        name=bot.name,
        mode=str(bot.connection.mode).upper(),
        strategy_version=bot.strategy_version,
        timeframe=str(params.timeframe) if params else formats.UNKNOWN,
        capital=bot.allocated_capital,
        instruments=len(facts.watched_ids),
        open_positions=facts.open_positions,
        pnl_today=facts.pnl_today,
        level=level,
        state=state_words.state if draining is None else _draining_text(draining, facts.in_flight),
        state_kind="accent" if draining else state_words.kind,
        promise=state_words.promise,
        stop_id=draining.pk if draining else (deciding.pk if deciding is not None else None),
        is_draining=draining is not None,
        in_flight=facts.in_flight,
        held_by=held_by,
        next_cycle_at=facts.next_cycle_at,
        last_cycle_at=facts.last_cycle_due_at,
        last_cycle_text=_last_cycle_text(facts),
        buttons=tuple(
            LevelButton(
                slug=LEVEL_SLUGS[button],
                words=words.LEVEL_WORDS[button],
                is_current=own is not None and own.level == button,
            )
            for button in _CARD_LEVELS
        ),
        revoke_slug=LEVEL_SLUGS[RunLevel.REVOKE],
        hours=hours_line(bot, own, level, clock.now()),
    )


def _is_acknowledged(stop: StopRequest) -> bool:
    return hasattr(stop, "acknowledgement")


def _effective(facts: BotFacts, own: StopRequest | None, tenant_wide: StopRequest | None) -> tuple[RunLevel, str]:
    """Return the strictest level over the bot, and who set it when it was not the bot's own button."""
    found = [
        *((int(stop.level), stop.title) for stop in facts.above),
        (tenant_wide.level if tenant_wide else 0, "Held back by a stop of the whole account."),
        (own.level if own else 0, ""),
    ]
    level, held_by = max(found, key=lambda pair: (pair[0], pair[1] == ""))
    return RunLevel(level), held_by if level > RunLevel.RUNNING else ""


def _draining_text(draining: StopRequest, in_flight: int) -> str:
    return f"{words.LEVEL_WORDS[RunLevel(draining.level)].doing}, {in_flight} in flight"


def _last_cycle_text(facts: BotFacts) -> str:
    if facts.last_cycle_due_at is None:
        return "not yet"
    if facts.last_cycle_state == CycleRun.State.SKIPPED:
        return f"skipped: {words.skip_words(facts.last_cycle_reason or '')}"
    if facts.last_cycle_state == CycleRun.State.FAILED:
        return f"failed: {words.skip_words(facts.last_cycle_reason)}"
    return ""


# --- readiness --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyItem:
    """One light of the strip: its color, its name, and what it means in words. `at` is when it was last known."""

    name: str
    kind: str
    text: str
    at: datetime | None = None
    until: datetime | None = None
    """When it changes by itself, for a countdown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyStrip:
    """The lights of one broker connection."""

    label: str
    items: tuple[ReadyItem, ...]


def readiness_strips(
    found: Iterable[BotFacts], quotes: dict[UUID, CachedQuote], now: datetime
) -> tuple[ReadyStrip, ...]:
    """Return one strip per connection: that of its bot which shows the most trouble."""
    strips: dict[UUID, ReadyStrip] = {}
    for facts in found:
        strip = ReadyStrip(label=facts.bot.connection.label, items=readiness(facts, quotes, now))
        seen = strips.get(facts.bot.connection_id)
        if seen is None or _trouble(strip) > _trouble(seen):
            strips[facts.bot.connection_id] = strip
    return tuple(strips.values())


def _trouble(strip: ReadyStrip) -> int:
    return sum({"danger": 100, "notice": 1}.get(item.kind, 0) for item in strip.items)


def readiness(facts: BotFacts, quotes: dict[UUID, CachedQuote], now: datetime) -> tuple[ReadyItem, ...]:
    """Return the strip for the bot's connection; each light stands for something that is really looked at."""
    bot = facts.bot
    account: AccountState | None = getattr(bot.connection, "account_state", None)
    return (
        *_above_items(facts),
        _session_item(bot.connection),
        _address_item(bot.connection),
        _books_item(account, now),
        _funds_item(account),
        _calendar_item(bot.connection, now),
        _prices_item(facts, quotes, now),
        _limits_item(facts),
        _entries_item(facts),
    )


def _above_items(facts: BotFacts) -> list[ReadyItem]:
    return [
        ReadyItem(
            name="ARUN's operator",
            kind="danger" if stop.level >= RunLevel.STOP else "notice",
            text=words.LEVEL_WORDS[stop.level].state.capitalize(),
            at=stop.since,
        )
        for stop in facts.above[:1]
    ]


_SESSION_KINDS = {
    SessionState.ALIVE: "good",
    SessionState.UNKNOWN: "notice",
    SessionState.DEGRADED: "notice",
    SessionState.COMPETING: "notice",
}


def _session_item(connection: BrokerConnection) -> ReadyItem:
    state = SessionState(connection.session_state)
    kind = _SESSION_KINDS.get(state, "danger")
    text = f"{connection.label}: {state.label.lower()}"
    return ReadyItem(
        name="Broker session",
        kind=kind,
        text=connection.session_message or text,
        at=connection.session_checked_at,
    )


def _books_item(account: AccountState | None, now: datetime) -> ReadyItem:
    if account is None or account.reconciled_at is None:
        return ReadyItem(name="Books", kind="notice", text="Not compared with the broker yet")
    at = business(account.reconciled_at)
    if account.failing_since is not None:
        return ReadyItem(name="Books", kind="danger", text="They cannot be read; ARUN buys nothing", at=at)
    if account.is_quarantined:
        return ReadyItem(name="Books", kind="notice", text="Being compared; ARUN buys nothing until they agree", at=at)
    old = at is None or (now - at).total_seconds() > BOOKS_OLD_SECONDS
    return ReadyItem(name="Books", kind="notice" if old else "good", text="Agree with the broker", at=at)


def _funds_item(account: AccountState | None) -> ReadyItem:
    if account is None or account.cash is None:
        return ReadyItem(name="Free cash", kind="notice", text="Not known yet; ARUN buys nothing")
    kind = "good" if account.cash > 0 else "notice"
    return ReadyItem(name="Free cash", kind=kind, text=formats.inr(account.cash), at=business(account.cash_read_at))


def _address_item(connection: BrokerConnection) -> ReadyItem:
    if connection.is_paper:
        return ReadyItem(name="Address", kind="good", text="A paper account needs none")
    text = "Not checked here. Your broker may ask for a fixed address that it knows"
    return ReadyItem(name="Address", kind="notice", text=text)


def _calendar_item(connection: BrokerConnection, now: datetime) -> ReadyItem:
    exchange = connection.venue
    if exchange in calendar.ALWAYS_OPEN:
        return ReadyItem(name="Market", kind="good", text="Simulated, open round the clock")
    reason = calendar.closed_reason(exchange, now)
    if not reason:
        spans = calendar.trading_day(exchange, calendar.trading_date(exchange, now)).spans
        closes_at = next((span.closes_at for span in spans if span.opens_at <= now < span.closes_at), None)
        text = f"Open, closes at {formats.ist_clock(closes_at)} IST" if closes_at else "Open"
        return ReadyItem(name="Market", kind="good", text=text, until=closes_at)
    opens_at = calendar.next_open(exchange, now)
    text = f"Closed ({reason})" + (f", opens {formats.ist(opens_at)}" if opens_at else "")
    return ReadyItem(name="Market", kind="notice", text=text, until=opens_at)


def _prices_item(facts: BotFacts, quotes: dict[UUID, CachedQuote], now: datetime) -> ReadyItem:
    if not facts.watched_ids:
        return ReadyItem(name="Prices", kind="notice", text="No share is switched on")
    missing = sum(1 for instrument_id in facts.watched_ids if instrument_id not in quotes)
    if missing:
        return ReadyItem(
            name="Prices", kind="notice", text=f"{missing} of {len(facts.watched_ids)} shares have none yet"
        )
    oldest = min(quotes[instrument_id].at for instrument_id in facts.watched_ids)
    is_old = (now - oldest).total_seconds() > PRICE_OLD_SECONDS
    text = "Too old to buy on" if is_old else f"All {len(facts.watched_ids)} shares have one"
    return ReadyItem(name="Prices", kind="notice" if is_old else "good", text=text, at=oldest)


def _limits_item(facts: BotFacts) -> ReadyItem:
    parameters = facts.bot.parameters
    limit = RiskLimits.from_json(parameters.limits).daily_loss if parameters else None
    if limit is None:
        return ReadyItem(name="Limits", kind="good", text="No daily loss limit is set")
    today = facts.worth
    if today is None or facts.pnl_today is None:
        return ReadyItem(name="Limits", kind="notice", text="Today's gain or loss is not known yet")
    lost = max(Decimal(0), -facts.pnl_today)
    text = f"{formats.inr(lost, places=0)} of {formats.inr(limit, places=0)} daily loss used"
    if lost >= limit:
        return ReadyItem(name="Limits", kind="danger", text=f"{text}; ARUN buys nothing more today", at=today.at)
    return ReadyItem(name="Limits", kind="notice" if lost * 2 >= limit else "good", text=text, at=today.at)


def _entries_item(facts: BotFacts) -> ReadyItem:
    if facts.frozen:
        share = "share" if facts.frozen == 1 else "shares"
        return ReadyItem(name="Entries", kind="notice", text=f"Held back for {facts.frozen} {share}")
    return ReadyItem(name="Entries", kind="good", text="No share is held back")


# --- accounts ---------------------------------------------------------------------------------------------------------


def accounts_of(found: Iterable[BotFacts]) -> dict[UUID, tuple[BrokerConnection, equity.EquityToday | None]]:
    """Return the accounts that these bots trade on, with their figures of today."""
    return {facts.bot.connection_id: (facts.bot.connection, facts.worth) for facts in found}
