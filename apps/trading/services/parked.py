"""Ending an order that the books could not settle: by two people, with what they saw written down."""

from uuid import UUID

from django.db.models import F

from apps.accounts.models import User
from apps.common import audit
from apps.engine.model.choices import OrderState
from apps.trading.errors import OrderMovedError, ParkedRefusedError
from apps.trading.models import OrderIntent
from apps.trading.services.intents import intent_move

LEAST_EVIDENCE = 20
"""Characters; fewer cannot say where somebody looked and what was there."""


def parked_order_end(*, intent_id: UUID, first: User, second: User, evidence: str) -> OrderIntent:
    """Declare a PARKED order DEAD. Raises ParkedRefusedError unless two members of the staff vouch with evidence.

    An order that turns up all the same is reopened by the reconciler, freezes its instrument and raises an alarm.
    """
    if first.pk == second.pk or not (first.is_staff and second.is_staff):
        raise ParkedRefusedError("expected two different members of the staff")
    if len(evidence.strip()) < LEAST_EVIDENCE:
        raise ParkedRefusedError(f"expected evidence of at least {LEAST_EVIDENCE} characters, got {evidence!r}")
    intent: OrderIntent | None = OrderIntent.objects.filter(pk=intent_id, state=OrderState.PARKED).first()
    if intent is None:
        raise ParkedRefusedError(f"expected a parked order of this tenant, got {intent_id}")
    if not OrderIntent.objects.filter(pk=intent.pk, fence=intent.fence, state=OrderState.PARKED).update(
        fence=F("fence") + 1
    ):
        raise OrderMovedError(f"order {intent.pk} moved in between")
    intent.refresh_from_db()
    people = {"first": str(first.pk), "second": str(second.pk), "evidence": evidence.strip()[:500]}
    intent_move(intent, OrderState.DEAD, cause="ended_by_staff", text=evidence.strip(), data=people)
    for person in (first, second):
        audit.record(
            "order.ended_by_staff", actor=audit.staff_actor(person.pk), subject=f"order:{intent.pk}", data=people
        )
    return intent
