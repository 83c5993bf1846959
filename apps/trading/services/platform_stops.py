"""Stops above the tenants: asking for one, the second person, each account's part in it, and the one answer.

A request is in force from its commit, like any stop. Its proof has three steps. The scope's run-control row is taken
alone once: whoever passed a last check before the request has then handed over or given up. In each account that can
send, in a scope of its own, nothing forbidden may be left that could still leave; that account's rows keep the names.
Only then one acknowledgement is written, which counts and names nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Self
from uuid import UUID, uuid5

from django.db import connection, transaction
from django.db.models import Q

from apps.accounts.models import User
from apps.common import audit, events
from apps.common.db import require_tenant_id
from apps.common.models import WorkItem
from apps.engine.execution.run_control import needs_two_people
from apps.engine.model.choices import RunLevel
from apps.trading.errors import SecondPersonNeededError, StopRefusedError
from apps.trading.locks import lock_alone, loosen_alone, stop_beside_loosening
from apps.trading.models import (
    LIVE_STATES,
    Bot,
    ClockTimestamp,
    PlatformControl,
    PlatformStopAcknowledgement,
    PlatformStopEffect,
    PlatformStopEscalation,
    PlatformStopProgress,
    PlatformStopProposal,
    PlatformStopRequest,
    PlatformStopVerdict,
)
from apps.trading.platform_selectors import newest_platform_stop, platform_scopes, previous_level, proposal_state
from apps.trading.selectors import bots_in_scope, in_scope
from apps.trading.services.stop_effects import cancel_entries, end_forbidden, flatten, on_their_way, unproven
from apps.trading.services.work import work_schedule

LEAST_REASON = 10
"""Characters of a reason; customers read it."""

LEASE_SECONDS = 4.0
"""How long a drain that was not heard of keeps others away. Short: a killed gateway must not delay an answer much."""

LATE = "late"


def _quoted(states: Iterable[str]) -> str:
    return ", ".join(f"'{state}'" for state in states)


# --- asking -----------------------------------------------------------------------------------------------------------


def platform_stop_request(
    *, scope: str, key: str, level: RunLevel, request_id: UUID, actor: User, reason: str
) -> PlatformStopRequest:
    """Set a level above the tenants by one person's word, and return the request; a repeated request_id is the same.

    Raises SecondPersonNeededError where one person is not enough, StopRefusedError for a scope that does not exist.
    """
    with transaction.atomic():
        repeated = PlatformStopRequest.objects.filter(request_id=request_id).first()
        if repeated is not None:
            return repeated
        _check(scope, key, actor, reason)
        stop_beside_loosening(scope, key)
        current = _level(newest_platform_stop(scope, key))
        if level is RunLevel.RUNNING and current is RunLevel.RUNNING:
            raise StopRefusedError(f"the level of {_named(scope, key)} is RUNNING already")
        if needs_two_people(current, level):
            raise SecondPersonNeededError(
                f"from {current.name} to {level.name} a second member of the staff must agree",
                data={"from": current.name, "to": level.name},
            )
        return _record(scope, key, level, request_id, reason, requested_by=audit.staff_actor(actor.pk))


def platform_stop_propose(
    *, scope: str, key: str, level: RunLevel, request_id: UUID, actor: User, reason: str
) -> PlatformStopProposal:
    """Ask for a level that needs a second person; a repeated request_id is the same proposal.

    Whoever wants everything sold, or the sessions ended, gets a STOP at once: it needs nobody else, and the rest waits
    behind it.
    """
    with transaction.atomic():
        repeated = PlatformStopProposal.objects.filter(pk=request_id).first()
        if repeated is not None:
            return repeated
        _check(scope, key, actor, reason)
        stop_beside_loosening(scope, key)
        newest = newest_platform_stop(scope, key)
        if not needs_two_people(_level(newest), level):
            raise StopRefusedError(f"{level.name} needs no second person now")
        by = audit.staff_actor(actor.pk)
        if level >= RunLevel.FLATTEN and _level(newest) < RunLevel.STOP:
            stop_id = uuid5(request_id, RunLevel.STOP.name)  # the same for a repeated press
            newest = _record(scope, key, RunLevel.STOP, stop_id, reason, requested_by=by)
        PlatformStopProposal.objects.bulk_create(
            [
                PlatformStopProposal(
                    id=request_id,
                    scope=scope,
                    key=key,
                    level=level,
                    seen_epoch=newest.epoch if newest else 0,
                    proposed_by=by,
                    reason=reason.strip(),
                )
            ],
            ignore_conflicts=True,
        )
        proposal: PlatformStopProposal = PlatformStopProposal.objects.get(pk=request_id)
        audit.record_platform(
            "run_level.proposed",
            actor=by,
            subject=_named(scope, key),
            data={"level": level.name, "proposal": str(proposal.pk), "reason": proposal.reason},
        )
        return proposal


def platform_stop_approve(*, proposal_id: UUID, actor: User) -> PlatformStopRequest:
    """Let a proposal become a request by a second person's word; approving twice is once.

    Raises StopRefusedError when it is the same person's, too old, answered, or overtaken by a later request: what the
    proposer saw then is not what would be changed now.
    """
    with transaction.atomic():
        _require_staff(actor)
        proposal = _proposal(proposal_id)
        loosen_alone(proposal.scope, proposal.key)
        recorded = PlatformStopRequest.objects.filter(request_id=proposal.pk).first()
        if recorded is not None:
            return recorded
        by = audit.staff_actor(actor.pk)
        if by == proposal.proposed_by:
            raise StopRefusedError("expected another member of the staff than the one who proposed it")
        _require_open(proposal)
        PlatformStopVerdict.objects.create(proposal=proposal, is_approved=True, decided_by=by)
        return _record(
            proposal.scope,
            proposal.key,
            RunLevel(proposal.level),
            proposal.pk,
            proposal.reason,
            requested_by=proposal.proposed_by,
            approved_by=by,
        )


def platform_stop_decline(*, proposal_id: UUID, actor: User) -> PlatformStopVerdict:
    """Say no to a proposal; its proposer takes it back with the same word. Saying it twice is once."""
    with transaction.atomic():
        _require_staff(actor)
        proposal = _proposal(proposal_id)
        loosen_alone(proposal.scope, proposal.key)
        said = PlatformStopVerdict.objects.filter(proposal=proposal).first()
        if said is not None:
            if said.is_approved:
                raise StopRefusedError("the proposal was approved already")
            return said
        by = audit.staff_actor(actor.pk)
        verdict: PlatformStopVerdict = PlatformStopVerdict.objects.create(
            proposal=proposal, is_approved=False, decided_by=by
        )
        audit.record_platform(
            "run_level.declined",
            actor=by,
            subject=_named(proposal.scope, proposal.key),
            data={"level": RunLevel(proposal.level).name, "proposal": str(proposal.pk)},
        )
        return verdict


def _record(
    scope: str,
    key: str,
    level: RunLevel,
    request_id: UUID,
    reason: str,
    *,
    requested_by: str,
    approved_by: str = "",
) -> PlatformStopRequest:
    PlatformControl.objects.bulk_create([PlatformControl(scope=scope, key=key)], ignore_conflicts=True)
    PlatformStopRequest.objects.bulk_create(
        [
            PlatformStopRequest(
                scope=scope,
                key=key,
                level=level,
                request_id=request_id,
                requested_by=requested_by,
                approved_by=approved_by,
                reason=reason.strip(),
            )
        ],
        ignore_conflicts=True,
    )
    request: PlatformStopRequest = PlatformStopRequest.objects.get(request_id=request_id)
    _, is_new = PlatformStopProgress.objects.get_or_create(stop=request)
    if is_new:
        audit.record_platform(
            "run_level.set",
            actor=approved_by or requested_by,
            subject=_named(scope, key),
            data={
                "level": level.name,
                "epoch": request.epoch,
                "requested_by": requested_by,
                "approved_by": approved_by,
                "reason": request.reason,
            },
        )
    return request


def _check(scope: str, key: str, actor: User, reason: str) -> None:
    _require_staff(actor)
    if len(reason.strip()) < LEAST_REASON:
        raise StopRefusedError(f"expected a reason of at least {LEAST_REASON} characters, got {reason!r}")
    if (scope, key) not in platform_scopes():
        raise StopRefusedError(
            f"expected the platform, a broker's code or strategy@version, got {_named(scope, key)}",
            data={"scope": scope, "key": key},
        )


def _require_staff(actor: User) -> None:
    if not (actor.is_active and actor.is_staff):
        raise StopRefusedError("expected an active member of the staff")


def _proposal(proposal_id: UUID) -> PlatformStopProposal:
    proposal: PlatformStopProposal | None = PlatformStopProposal.objects.filter(pk=proposal_id).first()
    if proposal is None:
        raise StopRefusedError(f"expected the id of a proposal, got {proposal_id}")
    return proposal


def _require_open(proposal: PlatformStopProposal) -> None:
    ended = proposal_state(proposal).ended
    if ended:
        raise StopRefusedError(f"the proposal is over: {ended}")


def _level(request: PlatformStopRequest | None) -> RunLevel:
    return RunLevel(request.level) if request else RunLevel.RUNNING


def _named(scope: str, key: str) -> str:
    return f"{scope}:{key}" if key else str(scope)


# --- the drain, step by step ------------------------------------------------------------------------------------------


def platform_drain_claim(*, stop_id: int, holder: UUID) -> bool:
    """Let this drain work on the stop for LEASE_SECONDS; False while another one does.

    It only saves work: two drains at once find the same things, and each account's part is written once.
    """
    PlatformStopProgress.objects.get_or_create(stop_id=stop_id)
    free = Q(lease_until=None) | Q(lease_until__lt=ClockTimestamp()) | Q(lease_by=holder)
    claimed = PlatformStopProgress.objects.filter(free, stop_id=stop_id).update(
        lease_by=holder, lease_until=_lease_end()
    )
    return bool(claimed)


def platform_drain_note(*, stop_id: int, holder: UUID, tenants: int, settled: int) -> bool:
    """Write down how far this drain has come and keep its lease; False when another one took over."""
    kept = PlatformStopProgress.objects.filter(stop_id=stop_id, lease_by=holder).update(
        tenants=tenants, settled=settled, looked_at=ClockTimestamp(), lease_until=_lease_end()
    )
    return bool(kept)


def platform_drain_release(*, stop_id: int, holder: UUID) -> None:
    """Leave the stop to the next drain."""
    PlatformStopProgress.objects.filter(stop_id=stop_id, lease_by=holder).update(lease_until=None, lease_by=None)


def _lease_end() -> ClockTimestamp:
    return ClockTimestamp() + timedelta(seconds=LEASE_SECONDS)  # type: ignore[return-value]


def platform_stop_barrier(stop: PlatformStopRequest) -> bool:
    """Hold the scope's run-control row alone for a moment; False when sends kept it.

    Every send holds that row shared from its last check to its hand-over. Whoever checked before the request was
    committed has let go by the time the row is held alone, and whoever checks later sees the request. It is enough to
    have held it once, so it is written down.
    """
    PlatformControl.objects.bulk_create([PlatformControl(scope=stop.scope, key=stop.key)], ignore_conflicts=True)
    with transaction.atomic():
        control = lock_alone(PlatformControl.objects.filter(scope=stop.scope, key=stop.key))
        if control is None:
            return False
        PlatformControl.objects.filter(pk=control.pk, drained_epoch__lt=stop.epoch).update(drained_epoch=stop.epoch)
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One account's part in a stop above the tenants, in numbers; or why it is not proven there yet."""

    is_settled: bool
    accounts: int = 0
    in_flight: int = 0
    cancelled: int = 0
    flattening: int = 0
    waiting_for: tuple[str, ...] = ()

    def __add__(self, other: Self) -> "Part":
        return Part(
            is_settled=self.is_settled and other.is_settled,
            accounts=self.accounts + other.accounts,
            in_flight=self.in_flight + other.in_flight,
            cancelled=self.cancelled + other.cancelled,
            flattening=self.flattening + other.flattening,
            waiting_for=self.waiting_for + other.waiting_for,
        )


NOT_CONCERNED = Part(is_settled=True)
ANOTHER_DRAIN = Part(is_settled=False, waiting_for=("another drain",))


def platform_stop_settle(stop: PlatformStopRequest, *, was: RunLevel | None = None) -> Part:
    """Try once to prove a stop above the tenants in the open tenant scope, and do there what its level asks for.

    `was` is the level before it, for who goes through many accounts and has read it already.

    The caller has passed the barrier. An account that is settled stays so: nothing that the stop forbids can get a
    permit any more, or use an old one.
    """
    tenant_id = require_tenant_id()
    found = _look(stop, tenant_id)
    if found is None:
        return ANOTHER_DRAIN
    is_settled, has_work = found
    if is_settled:
        return _part_of(PlatformStopEffect.objects.get(stop=stop))
    if not Bot.objects.filter(in_scope(stop.scope, stop.scope_id)).exists():
        return NOT_CONCERNED
    effect = PlatformStopEffect(tenant_id=tenant_id, stop=stop)
    if has_work:
        waiting = unproven(stop)
        if waiting:
            return Part(is_settled=False, accounts=1, waiting_for=tuple(attempt.process for attempt in waiting))
        effect.in_flight = on_their_way(stop)
        end_forbidden(stop)
        effect.cancelled = cancel_entries(stop) if stop.level in {RunLevel.STOP, RunLevel.FLATTEN} else []
        effect.flattening = flatten(stop) if stop.level == RunLevel.FLATTEN else []
    if stop.level <= RunLevel.PAUSE_ENTRIES:
        for bot_id in bots_in_scope(stop.scope, stop.scope_id).values_list("pk", flat=True):
            work_schedule(WorkItem.Kind.CYCLE, bot_id)  # a stopped bot is looked at once a minute only
    effect.save(force_insert=True)
    _tell(stop, effect, previous_level(stop) if was is None else was)
    return _part_of(effect)


# One statement, and by hand: most accounts are quiet, and there may be thousands of them. It locks the account's row
# against other drains without waiting, and asks for work in the whole account, of which the scope's is a part.
_LOOK = f"""
SELECT
    EXISTS (SELECT FROM trading_platformstopeffect WHERE tenant_id = %(tenant)s AND stop_id = %(stop)s),
    EXISTS (SELECT FROM trading_orderintent WHERE tenant_id = %(tenant)s AND state IN ({_quoted(LIVE_STATES)}))
    OR EXISTS (SELECT FROM trading_orderattempt WHERE tenant_id = %(tenant)s AND outcome = 'OPEN')
    OR EXISTS (
        SELECT FROM trading_orderattempt WHERE tenant_id = %(tenant)s AND sent_at IS NULL AND closed_at IS NULL
    )
    OR EXISTS (SELECT FROM trading_position WHERE tenant_id = %(tenant)s AND closed_at IS NULL)
FROM common_workitem WHERE tenant_id = %(tenant)s AND kind = 'platform'
FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - the states are constants of the engine


def _look(stop: PlatformStopRequest, tenant_id: UUID) -> tuple[bool, bool] | None:
    """Return whether the account is settled and whether it has work; None while another drain is at it."""
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, {"tenant": tenant_id, "stop": stop.pk})
        row = cursor.fetchone()
    return None if row is None else (bool(row[0]), bool(row[1]))


def _part_of(effect: PlatformStopEffect) -> Part:
    return Part(
        is_settled=True,
        accounts=1,
        in_flight=len(effect.in_flight),
        cancelled=len(effect.cancelled),
        flattening=len(effect.flattening),
    )


def _tell(stop: PlatformStopRequest, effect: PlatformStopEffect, was: RunLevel) -> None:
    """Write the stop into the account's own audit log, and tell its pages and its people."""
    data = {
        "level": int(stop.level),
        "was": int(was),
        "scope": str(stop.scope),
        "key": stop.key,
        "epoch": stop.epoch,
        "in_flight": len(effect.in_flight),
        "cancelled": len(effect.cancelled),
        "selling": len(effect.flattening),
    }
    audit.record(
        "run_level.set_by_operator",
        actor=stop.approved_by or stop.requested_by,
        subject=_named(stop.scope, stop.key),
        data=data,
    )
    events.publish("PlatformStopSettled", tenant_id=effect.tenant_id, data={"effect": str(effect.pk), **data})


def platform_stop_acknowledge(stop: PlatformStopRequest, total: Part, *, superseded_by: int | None = None) -> None:
    """Answer a stop that is settled in every account, or that a later request of its scope took the place of."""
    with transaction.atomic():
        _, is_new = PlatformStopAcknowledgement.objects.get_or_create(
            stop=stop,
            defaults={
                "tenants": total.accounts,
                "in_flight": total.in_flight,
                "cancelled": total.cancelled,
                "flattening": total.flattening,
                "superseded_by": superseded_by,
            },
        )
        if is_new:
            audit.record_platform(
                "run_level.acknowledged",
                actor=audit.process_actor(),
                subject=_named(stop.scope, stop.key),
                data={"epoch": stop.epoch, "accounts": total.accounts, "superseded_by": superseded_by},
            )


def platform_stop_escalate(*, stop: PlatformStopRequest, step: str, data: Mapping[str, object]) -> bool:
    """Write down that a drain could not be proven in time, or what was done about it; False when that is known."""
    known = PlatformStopEscalation.objects.filter(stop=stop, step=step, data=dict(data))
    if known.exists() or (step == LATE and PlatformStopEscalation.objects.filter(stop=stop, step=LATE).exists()):
        return False
    PlatformStopEscalation.objects.create(stop=stop, step=step, data=dict(data))
    return True


def platform_stop_tell_late(stop: PlatformStopRequest) -> None:
    """Tell the open scope's account, once, that the stop takes longer there than it should."""
    events.publish(
        "PlatformStopLate",
        tenant_id=require_tenant_id(),
        data={"stop": stop.pk, "scope": str(stop.scope), "key": stop.key, "level": int(stop.level)},
    )
