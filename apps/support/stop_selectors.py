"""The staff's pages about stops above the tenants. Counts and names of people of the staff; no tenant is named."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.accounts.models import User
from apps.engine.execution.run_control import needs_two_people
from apps.engine.model.choices import RunLevel
from apps.trading.models import (
    PlatformControl,
    PlatformStopAcknowledgement,
    PlatformStopEscalation,
    PlatformStopProgress,
    PlatformStopProposal,
    PlatformStopRequest,
)
from apps.trading.platform_selectors import (
    PROPOSAL_LIFE,
    newest_platform_stop,
    newest_platform_stops,
    platform_scopes,
    proposal_state,
    proposals_open,
    scope_name,
)

ROWS = 25
Scope = PlatformControl.Scope


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelText:
    """A run level in the staff's words."""

    level: RunLevel
    name: str
    leaves: str
    kind: str


LEVELS = {
    RunLevel.RUNNING: LevelText(level=RunLevel.RUNNING, name="Running", leaves="Everything may leave.", kind="success"),
    RunLevel.PAUSE_ENTRIES: LevelText(
        level=RunLevel.PAUSE_ENTRIES,
        name="Entries paused",
        leaves="Exits, orders by hand and cancels may leave. Nothing is bought.",
        kind="warning",
    ),
    RunLevel.STOP: LevelText(
        level=RunLevel.STOP,
        name="Stopped",
        leaves="Only cancels may leave. Working purchases are cancelled; positions stay and are not watched.",
        kind="danger",
    ),
    RunLevel.FLATTEN: LevelText(
        level=RunLevel.FLATTEN,
        name="Stopped, selling all",
        leaves="Every lot of every account in the scope is sold at the market. Only that and cancels may leave.",
        kind="danger",
    ),
    RunLevel.REVOKE: LevelText(
        level=RunLevel.REVOKE,
        name="Sessions ended",
        leaves="The broker sessions of every account in the scope are ended. Nothing leaves, not even a cancel.",
        kind="danger",
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """How far a request has come, in one line."""

    text: str
    kind: str
    is_draining: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class StopRow:
    """One request above the tenants."""

    id: int
    scope_name: str
    level: LevelText
    epoch: int
    at: datetime
    by: str
    approved_by: str
    reason: str
    answer: Answer


@dataclass(frozen=True, kw_only=True, slots=True)
class ScopeRow:
    """One scope above the tenants and the request in force; `stop` is None where nobody ever set a level."""

    scope: str
    key: str
    name: str
    level: LevelText
    stop: StopRow | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ProposalRow:
    """A level that waits for a second person. `ended` says why it waits no more."""

    id: UUID
    scope_name: str
    scope: str
    key: str
    level: LevelText
    current: LevelText
    by: str
    proposed_by: str
    reason: str
    at: datetime
    until: datetime
    ended: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """Everything on the page of stops."""

    scopes: tuple[ScopeRow, ...]
    proposals: tuple[ProposalRow, ...]
    history: tuple[StopRow, ...]
    is_draining: bool


def board() -> Board:
    """Return the level of every scope above the tenants, what waits for a second person, and what came before."""
    newest = {(stop.scope, stop.key): stop for stop in newest_platform_stops()}
    recent = list(PlatformStopRequest.objects.select_related("acknowledgement", "progress").order_by("-epoch")[:ROWS])
    waiting = proposals_open()
    names = _people([*newest.values(), *recent], waiting)
    scopes = []
    for scope, key in platform_scopes():
        stop = newest.get((scope, key))
        level = LEVELS[RunLevel(stop.level) if stop else RunLevel.RUNNING]
        row = _stop_row(stop, names) if stop else None
        scopes.append(ScopeRow(scope=scope, key=key, name=scope_name(scope, key), level=level, stop=row))
    return Board(
        scopes=tuple(scopes),
        proposals=tuple(_proposal_row(proposal, names) for proposal in waiting),
        history=tuple(_stop_row(stop, names) for stop in recent),
        is_draining=any(row.stop is not None and row.stop.answer.is_draining for row in scopes),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelChoice:
    """A level that may be asked for now, and whether one person is enough."""

    text: LevelText
    is_current: bool
    needs_second: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ScopePage:
    """The page on which a scope's level is set. `word` is to be typed out."""

    scope: str
    key: str
    name: str
    word: str
    current: LevelText
    choices: tuple[LevelChoice, ...]


def scope_page(scope: str, key: str) -> ScopePage | None:
    """Return the page of a scope; None when there is no such scope."""
    if (scope, key) not in platform_scopes():
        return None
    stop = newest_platform_stop(scope, key)
    current = RunLevel(stop.level) if stop else RunLevel.RUNNING
    return ScopePage(
        scope=scope,
        key=key,
        name=scope_name(scope, key),
        word=key or str(scope),
        current=LEVELS[current],
        choices=tuple(
            LevelChoice(text=text, is_current=level is current, needs_second=needs_two_people(current, level))
            for level, text in LEVELS.items()
            if not (level is RunLevel.RUNNING and current is RunLevel.RUNNING)
        ),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class StopPage:
    """One request and its drain, in numbers."""

    row: StopRow
    accounts: int
    proven: int
    waiting: int
    answer: PlatformStopAcknowledgement | None
    escalations: tuple[PlatformStopEscalation, ...]


def stop_page(stop_id: int) -> StopPage | None:
    """Return the page of a request; None when there is no such request."""
    found = PlatformStopRequest.objects.select_related("acknowledgement", "progress").filter(pk=stop_id).first()
    if found is None:
        return None
    progress = _progress(found)
    return StopPage(
        row=_stop_row(found, _people([found], [])),
        accounts=progress.tenants if progress else 0,
        proven=progress.settled if progress else 0,
        waiting=progress.tenants - progress.settled if progress else 0,
        answer=getattr(found, "acknowledgement", None),
        escalations=tuple(PlatformStopEscalation.objects.filter(stop=found).order_by("at")),
    )


def proposal_page(proposal_id: UUID) -> ProposalRow | None:
    """Return a proposal; None when there is no such proposal."""
    found = PlatformStopProposal.objects.select_related("verdict").filter(pk=proposal_id).first()
    return None if found is None else _proposal_row(found, _people([], [found]))


# --- rows -------------------------------------------------------------------------------------------------------------


def _stop_row(stop: PlatformStopRequest, names: dict[str, str]) -> StopRow:
    return StopRow(
        id=stop.pk,
        scope_name=scope_name(stop.scope, stop.key),
        level=LEVELS[RunLevel(stop.level)],
        epoch=stop.epoch,
        at=stop.requested_at,
        by=names.get(stop.requested_by, stop.requested_by),
        approved_by=names.get(stop.approved_by, stop.approved_by),
        reason=stop.reason,
        answer=_answer(stop),
    )


def _answer(stop: PlatformStopRequest) -> Answer:
    answer = getattr(stop, "acknowledgement", None)
    if answer is not None and answer.superseded_by is not None:
        return Answer(text=f"a later request took its place (epoch {answer.superseded_by})", kind="", is_draining=False)
    if answer is not None:
        text = f"acknowledged {answer.acknowledged_at:%H:%M:%S} UTC in {_counted(answer.tenants, 'account')}"
        return Answer(text=text, kind="success", is_draining=False)
    progress = _progress(stop)
    if progress is None or progress.looked_at is None:
        return Answer(text="in force, not proven yet", kind="warning", is_draining=True)
    waiting = progress.tenants - progress.settled
    text = f"in force, not proven yet: {_counted(waiting, 'account')} in flight"
    return Answer(text=text, kind="warning", is_draining=True)


def _progress(stop: PlatformStopRequest) -> PlatformStopProgress | None:
    found: PlatformStopProgress | None = getattr(stop, "progress", None)
    return found


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _proposal_row(proposal: PlatformStopProposal, names: dict[str, str]) -> ProposalRow:
    current = newest_platform_stop(proposal.scope, proposal.key)
    return ProposalRow(
        id=proposal.pk,
        scope_name=scope_name(proposal.scope, proposal.key),
        scope=proposal.scope,
        key=proposal.key,
        level=LEVELS[RunLevel(proposal.level)],
        current=LEVELS[RunLevel(current.level) if current else RunLevel.RUNNING],
        by=names.get(proposal.proposed_by, proposal.proposed_by),
        proposed_by=proposal.proposed_by,
        reason=proposal.reason,
        at=proposal.proposed_at,
        until=proposal.proposed_at + PROPOSAL_LIFE,
        ended=proposal_state(proposal).ended,
    )


def _people(stops: Iterable[PlatformStopRequest], proposals: Iterable[PlatformStopProposal]) -> dict[str, str]:
    """Return the addresses of the people of the staff, by the name that the audit log gives them."""
    actors = {actor for stop in stops for actor in (stop.requested_by, stop.approved_by)}
    actors |= {proposal.proposed_by for proposal in proposals}
    ids = []
    for actor in actors:
        try:
            ids.append(UUID(actor.removeprefix("staff:")))
        except ValueError:
            continue  # not a person: an older row, or a process
    return {f"staff:{pk}": email for pk, email in User.objects.filter(pk__in=ids).values_list("pk", "email")}
