"""Reads of the stops above the tenants. Global rows: they need no scope and tell nothing of any tenant."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q, QuerySet

from apps.brokers.choices import Broker
from apps.common.db import database_now
from apps.engine.model.choices import RunLevel
from apps.engine.strategies.rsi_reversion import STRATEGY_VERSION
from apps.trading.models import ClockTimestamp, PlatformControl, PlatformStopProposal, PlatformStopRequest

PROPOSAL_LIFE = timedelta(minutes=30)
"""How long a proposal may be approved: what its proposer saw must still be what is there."""

_STRATEGIES = {"rsi_reversion": STRATEGY_VERSION}
Scope = PlatformControl.Scope


def platform_scopes() -> list[tuple[str, str]]:
    """Return every scope above the tenants that the code or a bot knows, as (scope, key)."""
    found = {(str(row.scope), row.key) for row in PlatformControl.objects.all()}
    found |= {(str(Scope.PLATFORM), "")} | {(str(Scope.BROKER), str(code)) for code in Broker.values}
    for name, newest in _STRATEGIES.items():
        found |= {(str(Scope.STRATEGY), f"{name}@{version}") for version in range(1, newest + 1)}
    order = [str(scope) for scope in Scope.values]
    return sorted(found, key=lambda pair: (order.index(pair[0]), pair[1]))


def scope_where(scope: str, key: str) -> str:
    """Return where a scope is, as the end of a sentence about trading; nothing for the whole platform."""
    if scope == Scope.BROKER:
        return f" at {dict(Broker.choices).get(key, key)}"
    if scope == Scope.STRATEGY:
        return f" by version {key.rpartition('@')[2]} of the rule"
    return ""


def scope_name(scope: str, key: str) -> str:
    """Return what the staff calls a scope."""
    if scope == Scope.BROKER:
        return f"Broker: {dict(Broker.choices).get(key, key)}"
    if scope == Scope.STRATEGY:
        name, _, version = key.rpartition("@")
        return f"Strategy: {name}, version {version}"
    return "The whole platform"


def newest_platform_stop(scope: str, key: str) -> PlatformStopRequest | None:
    """Return the request that is in force for the scope, if it ever had one."""
    return PlatformStopRequest.objects.filter(scope=scope, key=key).order_by("-epoch").first()


def newest_platform_stops() -> QuerySet[PlatformStopRequest]:
    """Return the request in force of each scope above the tenants, with its acknowledgement."""
    rows = PlatformStopRequest.objects.select_related("acknowledgement", "progress")
    return rows.order_by("scope", "key", "-epoch").distinct("scope", "key")


def previous_level(stop: PlatformStopRequest) -> RunLevel:
    """Return the level that this request took the place of."""
    earlier = PlatformStopRequest.objects.filter(scope=stop.scope, key=stop.key, epoch__lt=stop.epoch)
    level = earlier.order_by("-epoch").values_list("level", flat=True).first()
    return RunLevel.RUNNING if level is None else RunLevel(level)


def lifts_revoke(stop: PlatformStopRequest) -> bool:
    """Return whether sessions that a REVOKE of this scope ended, or began to end, may now be opened again."""
    if stop.level == RunLevel.REVOKE:
        return False
    earlier = PlatformStopRequest.objects.filter(scope=stop.scope, key=stop.key, epoch__lt=stop.epoch)
    for request in earlier.select_related("acknowledgement").order_by("-epoch"):
        if request.level == RunLevel.REVOKE:
            return True
        answer = getattr(request, "acknowledgement", None)
        if answer is not None and answer.superseded_by is None:
            return False  # this one was carried out, and saw to the sessions itself
    return False


def superseding_epoch(stop: PlatformStopRequest) -> int | None:
    """Return the epoch of the scope's newest request when that is not this one."""
    newest = newest_platform_stop(stop.scope, stop.key)
    return newest.epoch if newest is not None and newest.epoch > stop.epoch else None


def platform_stops_waiting() -> Sequence[int]:
    """Return the requests that have no answer yet and no drain at work, oldest first."""
    at_rest = Q(progress=None) | Q(progress__lease_until=None) | Q(progress__lease_until__lt=ClockTimestamp())
    waiting = PlatformStopRequest.objects.filter(at_rest, acknowledgement=None)
    return list(waiting.order_by("epoch").values_list("pk", flat=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalState:
    """A proposal, and why it cannot be approved any more; `ended` is empty while it can."""

    proposal: PlatformStopProposal
    ended: str


def proposal_state(proposal: PlatformStopProposal) -> ProposalState:
    """Return whether a proposal still waits for the second person."""
    verdict = getattr(proposal, "verdict", None)
    newest = newest_platform_stop(proposal.scope, proposal.key)
    if verdict is not None:
        ended = "approved" if verdict.is_approved else "declined"
    elif database_now() >= proposal.proposed_at + PROPOSAL_LIFE:
        ended = "it is too old"
    elif (newest.epoch if newest else 0) != proposal.seen_epoch:
        ended = "the level was changed after it was made"
    else:
        ended = ""
    return ProposalState(proposal=proposal, ended=ended)


def proposals_open() -> list[PlatformStopProposal]:
    """Return the proposals that wait for a second person, oldest first."""
    recent = PlatformStopProposal.objects.filter(verdict=None, proposed_at__gt=ClockTimestamp() - PROPOSAL_LIFE)
    return [row for row in recent.order_by("proposed_at") if not proposal_state(row).ended]
