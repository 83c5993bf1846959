"""Cancels of orders that end in the meantime: none stays open, and an answer that comes is kept."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from apps.common.db import database_now, tenant_scope
from apps.common.models import WorkItem
from apps.engine.model.choices import OrderState
from apps.trading.gateway.execute import command_execute
from apps.trading.models import OrderAttempt, OrderCommand, OrderEvent, OrderIntent
from apps.trading.services.intents import command_record
from apps.trading.sweep import order_needs
from tests.kit.broker import FakeBroker, Weather
from tests.kit.factories.trading import TradingTenant, make_entry

State = OrderCommand.State


@pytest.fixture
def working(asha: TradingTenant, broker: FakeBroker, execute: Callable, reconcile: Callable) -> OrderIntent:
    """A purchase that rests at the broker."""
    broker.fills_at_once = False
    reconcile(asha)
    intent = make_entry(asha)
    assert execute(asha, intent) is OrderState.ACCEPTED
    return intent


def ask_to_cancel(tenant: TradingTenant, intent: OrderIntent) -> OrderCommand:
    with tenant_scope(tenant.tenant_id):
        command = command_record(
            intent=OrderIntent.objects.get(pk=intent.pk), kind=OrderCommand.Kind.CANCEL, requested_by="user:1"
        )
    assert command is not None
    return command


def left(tenant: TradingTenant, command: OrderCommand) -> tuple[str, str, bool]:
    """Return the command's state and text, and whether work is left for its order."""
    with tenant_scope(tenant.tenant_id):
        now = OrderCommand.objects.get(pk=command.pk)
        work = WorkItem.objects.filter(kind=WorkItem.Kind.ORDER, object_id=command.intent_id)
        return now.state, now.state_text, work.exists()


def test_cancel_that_waits_ends_with_its_order(asha, broker, working, reconcile) -> None:
    command = ask_to_cancel(asha, working)
    broker.fill("B1", 10)

    reconcile(asha)

    assert left(asha, command) == (State.DEAD, "not needed", False)
    assert command_execute(tenant_id=asha.tenant_id, command_id=command.pk, make_broker=broker.broker) is None
    with tenant_scope(asha.tenant_id):
        assert OrderEvent.objects.filter(intent=working, cause="cancel_dead").count() == 1


def test_cancel_that_is_being_sent_gets_its_answer(asha, broker, working, reconcile) -> None:
    command = ask_to_cancel(asha, working)

    def fill_first() -> None:
        broker.fill("B1", 10)
        reconcile(asha)
        assert left(asha, command) == (State.SENDING, "", True)

    broker.on_hand_over = fill_first

    state = command_execute(tenant_id=asha.tenant_id, command_id=command.pk, make_broker=broker.broker)

    assert state == State.REFUSED
    assert left(asha, command) == (State.REFUSED, "the order is FILLED", False)


def test_cancel_that_did_not_leave_is_not_tried_again_for_an_order_that_is_over(
    asha, broker, working, reconcile
) -> None:
    command = ask_to_cancel(asha, working)

    def fill_first() -> None:
        broker.fill("B1", 10)
        reconcile(asha)

    broker.on_hand_over = fill_first
    broker.weather = Weather.RATE_LIMITED

    command_execute(tenant_id=asha.tenant_id, command_id=command.pk, make_broker=broker.broker)

    assert left(asha, command) == (State.DEAD, "not needed", False)


def test_cancel_whose_sender_was_lost_ends_after_its_order(asha, broker, working, reconcile) -> None:
    command = ask_to_cancel(asha, working)
    with tenant_scope(asha.tenant_id):
        OrderCommand.objects.filter(pk=command.pk).update(
            state=State.SENDING, fence=1, lease_until=database_now() + timedelta(seconds=30)
        )
        attempt = OrderAttempt.objects.create(
            intent=working,
            command=command,
            kind="CANCEL",
            purpose="ENTRY",
            fence=1,
            permit_until=database_now(),
            process="another-host:1:1",
        )
    broker.fill("B1", 10)
    reconcile(asha)
    assert left(asha, command) == (State.SENDING, "", True)  # its sender may still answer
    with tenant_scope(asha.tenant_id):
        OrderCommand.objects.filter(pk=command.pk).update(lease_until=database_now() - timedelta(seconds=1))

    assert order_needs(tenant_id=asha.tenant_id, intent_id=working.pk) is None

    assert left(asha, command) == (State.DEAD, "not needed", False)
    with tenant_scope(asha.tenant_id):
        assert OrderAttempt.objects.get(pk=attempt.pk).outcome == OrderAttempt.Outcome.UNKNOWN
