"""The why-timeline: decisions in plain words, grouped by the cycle that made them, and their replay."""

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db.models import CharField, DecimalField, Q, QuerySet, Value

from apps.engine.errors import EngineError
from apps.engine.model.choices import Action, Reason
from apps.engine.replay import replay
from apps.engine.strategies.rsi_reversion import STRATEGY_HASH
from apps.trading.models import Decision, OutsideTrade, PositionLevels
from apps.web import formats, words

PAGE = 24
MOST_ACTS = 50
PEOPLE = "you"
FILTERS: dict[str, tuple[str, Q]] = {
    "": ("All", ~Q(reason=Reason.NO_POSITION)),
    "traded": ("Bought and sold", Q(action__in=[Action.BUY, Action.SELL])),
    "waiting": ("Waiting", Q(action__in=[Action.WAIT, Action.HOLD]) & ~Q(reason=Reason.NO_POSITION)),
    "blocked": ("Blocked", Q(action=Action.BLOCKED)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """One decision: a sentence, and what stands behind it."""

    id: UUID
    instrument: str
    is_simulated: bool
    kind: words.Kind
    sentence: str
    reason: str
    numbers: Mapping[str, Any]
    decided_at: datetime

    @property
    def rule(self) -> str:
        """Return the rule with the numbers filled in; written only where a row is opened."""
        return words.rule_of(self.reason, self.numbers)

    @property
    def inputs(self) -> list[tuple[str, str]]:
        return words.inputs_of(self.reason, self.numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActRow:
    """Something that a person of the account changed."""

    instrument: str
    is_simulated: bool
    sentence: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleGroup:
    """The decisions of one look at the market, or one change by a person."""

    bot_name: str
    title: str
    at: datetime
    rows: tuple[DecisionRow, ...] = ()
    acts: tuple[ActRow, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineView:
    """A page of the timeline; `older_than` leads to the next one."""

    groups: tuple[CycleGroup, ...]
    chosen: str
    share: str
    filters: tuple[tuple[str, str], ...]
    shares: tuple[tuple[str, str], ...]
    older_than: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the reader wants to see: a kind, one share or all, and where to go on. An unknown kind means all."""

    chosen: str = ""
    share: UUID | None = None
    older_than: UUID | None = None


def timeline_view(
    asked: Asked | None = None,
    *,
    limit: int = PAGE,
    shares: Mapping[UUID, str] | None = None,
    last_act_at: datetime | None = None,
) -> TimelineView:
    """Return the newest decisions that are asked for, with what people changed in between.

    About `limit` of them: a cycle is not cut in two unless it alone is longer. `shares` names what can be chosen;
    nothing that people changed is looked for where `last_act_at` says that there is nothing.
    """
    asked = asked or Asked()
    chosen = asked.chosen if asked.chosen in FILTERS or asked.chosen == PEOPLE else ""
    found: list[Decision] = []
    last = None
    if chosen != PEOPLE:
        rows = _decisions().filter(FILTERS[chosen][1])
        if asked.share is not None:
            rows = rows.filter(instrument_id=asked.share)
        if asked.older_than is not None:
            last = Decision.objects.filter(pk=asked.older_than).values_list("cycle_id", "decided_at").first()
            cycle_id = last[0] if last else None
            rows = rows.filter(Q(cycle_id__lt=cycle_id) | Q(cycle_id=cycle_id, id__lt=asked.older_than))
        found = list(rows[: limit + 1])
    shown = _whole_cycles(found, limit)
    older_than = shown[-1].pk if len(found) > limit else None
    groups = list(_groups(shown))
    if chosen in ("", PEOPLE) and last_act_at is not None:
        since = groups[-1].at if older_than else None
        if since is None or last_act_at >= since:
            groups = _merged(groups, _acts(asked.share, since=since, until=last[1] if last else None))
    return TimelineView(
        groups=tuple(groups),
        chosen=chosen,
        share=str(asked.share or ""),
        filters=(*((key, label) for key, (label, _) in FILTERS.items()), (PEOPLE, "Changed by you")),
        shares=tuple((str(pk), name) for pk, name in (shares or {}).items()),
        older_than=older_than,
    )


def _acts(share: UUID | None, *, since: datetime | None, until: datetime | None) -> list[CycleGroup]:
    """Return what people changed about lots and outside shares in this time, in one query."""
    nothing = Value(None, output_field=DecimalField(max_digits=18, decimal_places=4))
    changed = PositionLevels.objects.filter(**_between("changed_at", since, until))
    said = OutsideTrade.objects.filter(**_between("decided_at", since, until))
    if share is not None:
        changed, said = changed.filter(position__instrument_id=share), said.filter(instrument_id=share)
    rows = changed.annotate(kind=Value("LEVELS", CharField()), shares=Value(0)).values_list(
        "changed_at",
        "position__instrument__tradingsymbol",
        "position__instrument__is_simulated",
        "position__bot__name",
        "kind",
        "shares",
        "stop_price",
        "target_price",
        "previous_stop_price",
        "previous_target_price",
    )
    others = said.annotate(n1=nothing, n2=nothing, n3=nothing).values_list(
        "decided_at",
        "instrument__tradingsymbol",
        "instrument__is_simulated",
        "bot__name",
        "kind",
        "quantity",
        "price",
        "n1",
        "n2",
        "n3",
    )
    found = rows.union(others, all=True).order_by("-changed_at")[:MOST_ACTS]
    return [_act_group(*row) for row in found]


def _between(field: str, since: datetime | None, until: datetime | None) -> dict[str, datetime]:
    bounds = {f"{field}__gte": since, f"{field}__lt": until}
    return {name: at for name, at in bounds.items() if at is not None}


def _act_group(
    at: datetime, instrument: str, is_simulated: bool, bot_name: str, kind: str, quantity: int, *prices: Any
) -> CycleGroup:
    if kind == "LEVELS":
        names = ("stop_price", "target_price", "previous_stop_price", "previous_target_price")
        sentence = words.levels_sentence(**dict(zip(names, prices, strict=True)))
    else:
        said = words.OUTSIDE_WORDS[kind, quantity > 0].done
        price = f" at {formats.inr(prices[0])}" if prices[0] is not None else ""
        sentence = f"{said}: {formats.shares(abs(quantity))}{price}."
    row = ActRow(instrument=instrument, is_simulated=is_simulated, sentence=sentence, at=at)
    return CycleGroup(bot_name=bot_name, title="Changed by you", at=at, acts=(row,))


def _merged(groups: Iterable[CycleGroup], acts: Iterable[CycleGroup]) -> list[CycleGroup]:
    return sorted([*groups, *acts], key=lambda group: group.at, reverse=True)


def _whole_cycles(found: list[Decision], limit: int) -> list[Decision]:
    if len(found) <= limit:
        return found
    cut = found[limit].cycle_id
    whole = [row for row in found[:limit] if row.cycle_id != cut]
    return whole or found[:limit]


def _decisions() -> QuerySet[Decision]:
    # Ids are UUIDs of version 7, so their order is the order in time; the snapshot is large and not needed here.
    rows: QuerySet[Decision] = Decision.objects.select_related("instrument", "cycle", "bot")
    return rows.defer("cycle__snapshot").order_by("-cycle_id", "-id")


def _groups(decisions: Iterable[Decision]) -> Iterable[CycleGroup]:
    for _, members in groupby(decisions, key=lambda decision: decision.cycle_id):
        rows = list(members)
        cycle = rows[0].cycle
        yield CycleGroup(
            bot_name=rows[0].bot.name,
            title="Candle closed" if cycle.trigger == "CANDLE" else "Price crossed a level",
            at=rows[0].decided_at,
            rows=tuple(decision_row(row) for row in sorted(rows, key=_place)),
        )


_PLACES = {Action.BUY: 0, Action.SELL: 0, Action.BLOCKED: 1, Action.HOLD: 2, Action.WAIT: 3}


def _place(decision: Decision) -> tuple[int, str]:
    """Order a cycle's rows: what was traded first, then what was blocked, held and waited for, each by name."""
    return _PLACES[Action(decision.action)], decision.instrument.tradingsymbol


def decision_row(decision: Decision) -> DecisionRow:
    """Return a decision in words."""
    return DecisionRow(
        id=decision.pk,
        instrument=decision.instrument.tradingsymbol,
        is_simulated=decision.instrument.is_simulated,
        kind=words.kind_of(decision.action, decision.reason),
        sentence=words.sentence_of(decision.reason, decision.numbers),
        reason=decision.reason,
        numbers=decision.numbers,
        decided_at=decision.decided_at,
    )


def access_decision(decision_id: UUID) -> Decision:
    """Return one of the tenant's decisions. Raises Decision.DoesNotExist for a stranger's and a missing one."""
    decision: Decision = Decision.objects.select_related("instrument", "cycle", "bot").get(pk=decision_id)
    return decision


# --- replay -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayView:
    """What running the rule again on the stored snapshot says. `agrees` is None when it could not be run."""

    agrees: bool | None
    text: str
    sentence: str = ""
    snapshot_bytes: int = 0


def replay_decision(decision: Decision) -> ReplayView:
    """Run the rule again on what the bot saw, and compare the bytes of its answer with those on record."""
    cycle = decision.cycle
    if cycle.snapshot is None:
        return ReplayView(agrees=None, text="What the bot saw in this cycle was not kept, so it cannot be replayed.")
    seen = zlib.decompress(bytes(cycle.snapshot))
    try:
        answers: list[dict[str, Any]] = json.loads(replay(seen))
    except EngineError as error:
        return ReplayView(agrees=None, text=f"The stored snapshot could not be read: {error}", snapshot_bytes=len(seen))
    again = next((row for row in answers if row["instrument_id"] == str(decision.instrument_id)), None)
    if again is None:
        return ReplayView(agrees=False, text="The replay makes no decision for this share.", snapshot_bytes=len(seen))
    agrees = _canonical(_recorded(decision)) == _canonical(_replayed(again))
    return ReplayView(
        agrees=agrees,
        text=_verdict(agrees, cycle.strategy_hash),
        sentence=words.sentence_of(again["reason"], _plain_numbers(again["numbers"])),
        snapshot_bytes=len(seen),
    )


def _verdict(agrees: bool, recorded_hash: str) -> str:
    if agrees:
        return "The same numbers gave the same decision, byte for byte."
    if recorded_hash and recorded_hash != STRATEGY_HASH:
        return "The answer differs: the rule's code has changed since this decision was made."
    return "The answer differs from the one on record. Please tell support: this must not happen."


def _recorded(decision: Decision) -> dict[str, Any]:
    return {"action": decision.action, "reason": decision.reason, "numbers": decision.numbers}


def _replayed(answer: dict[str, Any]) -> dict[str, Any]:
    return {"action": answer["action"], "reason": answer["reason"], "numbers": _plain_numbers(answer["numbers"])}


def _plain_numbers(numbers: dict[str, Any]) -> dict[str, Any]:
    """Return numbers as a decision's row stores them: a tagged Decimal becomes its text."""
    return {name: value["decimal"] if isinstance(value, dict) else value for name, value in numbers.items()}


def _canonical(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
