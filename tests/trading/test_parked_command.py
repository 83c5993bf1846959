"""A parked order ends by two people's word and their evidence, or by the book, and in no other way."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.accounts.models import User
from apps.common.db import tenant_scope
from apps.common.models import AuditEntry
from apps.engine.model.choices import OrderState
from apps.trading.models import OrderIntent
from tests.kit.factories.trading import make_entry, make_trading_tenant

EVIDENCE = "order and trade book of 23 Nov read by both, no order with the mark"


@pytest.fixture
def parked(asha) -> OrderIntent:
    intent = make_entry(asha)
    with tenant_scope(asha.tenant_id):
        for number, state in enumerate(("SENDING", "UNKNOWN", "PARKED"), start=1):
            OrderIntent.objects.filter(pk=intent.pk).update(state=state, fence=number)
    return intent


def staff(name: str) -> str:
    return User.objects.create_user(f"{name}@example.test", "a long test password", is_staff=True).email


def end(tenant, intent, *by: str, evidence: str = EVIDENCE) -> None:
    call_command(
        "parked", str(tenant.tenant_id), dead=str(intent.pk), by=list(by), evidence=evidence, stdout=StringIO()
    )


def state(tenant, intent) -> str:
    with tenant_scope(tenant.tenant_id):
        return OrderIntent.objects.get(pk=intent.pk).state


def test_two_members_of_the_staff_end_it_and_are_named(asha, parked) -> None:
    end(asha, parked, staff("one"), staff("two"))

    assert state(asha, parked) == OrderState.DEAD
    with tenant_scope(asha.tenant_id):
        assert AuditEntry.objects.filter(action="order.ended_by_staff").count() == 2


@pytest.mark.parametrize("case", ["one person", "a customer", "no evidence"])
def test_everything_less_is_refused_and_changes_nothing(asha, parked, case) -> None:
    first, second = staff("one"), staff("two")
    customer = User.objects.create_user("customer@example.test", "a long test password").email
    by, evidence = {
        "one person": ((first,), EVIDENCE),
        "a customer": ((first, customer), EVIDENCE),
        "no evidence": ((first, second), "gone"),
    }[case]

    with pytest.raises(CommandError):
        end(asha, parked, *by, evidence=evidence)

    assert state(asha, parked) == OrderState.PARKED


def test_strangers_order_is_not_found(asha, parked) -> None:
    stranger = make_trading_tenant(name="Bala")

    with pytest.raises(CommandError, match="expected a parked order"):
        end(stranger, parked, staff("one"), staff("two"))


def test_order_is_listed_with_its_mark(asha, parked) -> None:
    out = StringIO()
    call_command("parked", str(asha.tenant_id), stdout=out)

    assert parked.client_order_id in out.getvalue()
