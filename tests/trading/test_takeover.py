"""What a dead gateway held is taken over at once; what a living, held or unseen one holds is left to its lease."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from apps.common import clock
from apps.common.db import database_now, tenant_scope
from apps.common.models import WorkItem
from apps.engine.model.choices import OrderState
from apps.trading import process
from apps.trading.gateway.execute import command_execute
from apps.trading.models import OrderAttempt, OrderCommand, OrderIntent
from apps.trading.process import Fate
from apps.trading.services import intents
from apps.trading.services.intents import command_record, intent_claim
from apps.trading.sweep import order_needs
from tests.kit.broker import FakeBroker
from tests.kit.factories.trading import TradingTenant, make_entry
from tests.kit.processes import wait_for

HOST = process.identity().rsplit(":", 2)[0]
DEAD = f"{HOST}:4194303:1"
ELSEWHERE = "another-host:1:1"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield child
    child.kill()
    child.wait()


def name_of(pid: int) -> str:
    return f"{HOST}:{pid}:{process._stat(pid)[process._START_TIME_FIELD]}"


def lease(tenant: TradingTenant, intent: OrderIntent, holder: str, *, state: OrderState = OrderState.NEW) -> None:
    """Let `holder` have claimed the order just now, and begun to send it."""
    with tenant_scope(tenant.tenant_id):
        lease_until = database_now() + timedelta(seconds=30)
        OrderIntent.objects.filter(pk=intent.pk).update(fence=1, lease_until=lease_until, claimed_by=holder)
        if state is OrderState.SENDING:
            OrderIntent.objects.filter(pk=intent.pk).update(fence=2, state=state)
            OrderAttempt.objects.create(
                intent=intent, kind="PLACE", purpose="ENTRY", fence=2, permit_until=lease_until, process=holder
            )


def test_order_that_a_dead_process_was_sending_is_unknown_at_once(asha, broker, execute, state_of) -> None:
    intent = make_entry(asha)
    lease(asha, intent, DEAD, state=OrderState.SENDING)

    assert execute(asha, intent) is OrderState.UNKNOWN

    assert broker.log == []
    assert state_of(asha, intent.pk).fence == 3
    with tenant_scope(asha.tenant_id):
        assert OrderAttempt.objects.get().outcome == OrderAttempt.Outcome.UNKNOWN


def test_order_that_a_dead_process_had_claimed_is_sent_at_once(asha, broker, execute, reconcile) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    lease(asha, intent, DEAD)

    assert execute(asha, intent) is OrderState.ACCEPTED

    assert len(broker.placed) == 1


@pytest.mark.parametrize("state", [OrderState.NEW, OrderState.SENDING])
def test_order_of_a_living_held_or_unseen_process_is_left_to_its_lease(
    asha, broker, execute, sleeper, state_of, state
) -> None:
    living = name_of(sleeper.pid)
    for number, holder in enumerate((living, ELSEWHERE, "")):
        intent = make_entry(asha, candle=number)
        lease(asha, intent, holder, state=state)
        assert execute(asha, intent) is None
        assert state_of(asha, intent.pk).state == state
        with tenant_scope(asha.tenant_id):
            OrderIntent.objects.filter(pk=intent.pk).update(blocks=False)
    os.kill(sleeper.pid, signal.SIGSTOP)
    wait_for(lambda: process.fate(living) is Fate.STOPPED, seconds=5, what="the stop")
    with tenant_scope(asha.tenant_id):
        first = OrderIntent.objects.order_by("id").first()

    assert execute(asha, first) is None

    assert broker.log == []


def test_rival_that_takes_over_first_keeps_it(asha, monkeypatch: pytest.MonkeyPatch) -> None:
    intent = make_entry(asha)
    lease(asha, intent, DEAD)
    taken: list[OrderIntent | None] = []

    def fate_seen_late(recorded: str) -> Fate:
        """Between our look at the holder and our claim, another gateway has claimed the order."""
        monkeypatch.setattr(intents, "fate", process.fate)
        taken.append(intent_claim(intent.pk, states=(OrderState.NEW,)))
        return process.fate(recorded)

    monkeypatch.setattr(intents, "fate", fate_seen_late)

    with tenant_scope(asha.tenant_id):
        mine = intent_claim(intent.pk, states=(OrderState.NEW,))

    assert mine is None
    assert [rival.fence for rival in taken if rival] == [2]


def test_sweep_looks_at_an_order_in_somebodys_hands_again_soon(asha, sleeper) -> None:
    intent = make_entry(asha)
    lease(asha, intent, name_of(sleeper.pid), state=OrderState.SENDING)

    needs = order_needs(tenant_id=asha.tenant_id, intent_id=intent.pk)
    with tenant_scope(asha.tenant_id):
        due_at = WorkItem.objects.get(kind=WorkItem.Kind.ORDER).due_at
    sleeper.kill()
    sleeper.wait()
    after = order_needs(tenant_id=asha.tenant_id, intent_id=intent.pk)

    assert needs is not None
    assert after is not None
    assert (needs.wants_send, after.wants_send) == (False, True)
    assert due_at - clock.now() < timedelta(seconds=2.1)


def test_order_being_sent_is_due_for_a_look_before_its_lease_ends(
    asha, broker: FakeBroker, execute: Callable, reconcile: Callable
) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    seen: list[timedelta] = []

    def look() -> None:
        with tenant_scope(asha.tenant_id):
            seen.append(WorkItem.objects.get(kind=WorkItem.Kind.ORDER).due_at - clock.now())

    broker.on_open = look
    execute(asha, intent)

    assert seen[0] < timedelta(seconds=2.1)


def test_cancel_that_a_dead_process_was_sending_is_unknown_at_once(asha, broker, execute, reconcile) -> None:
    broker.fills_at_once = False
    reconcile(asha)
    intent = make_entry(asha)
    execute(asha, intent)
    with tenant_scope(asha.tenant_id):
        command = command_record(
            intent=OrderIntent.objects.get(pk=intent.pk), kind=OrderCommand.Kind.CANCEL, requested_by="user:1"
        )
        lease_until = database_now() + timedelta(seconds=30)
        OrderCommand.objects.filter(pk=command.pk).update(state="SENDING", fence=1, lease_until=lease_until)
        attempt = OrderAttempt.objects.create(
            intent=intent,
            command=command,
            kind="CANCEL",
            purpose="ENTRY",
            fence=1,
            permit_until=lease_until,
            process=ELSEWHERE,
        )
    run = {"tenant_id": asha.tenant_id, "command_id": command.pk, "make_broker": broker.broker}
    assert command_execute(**run) is None
    with tenant_scope(asha.tenant_id):
        OrderAttempt.objects.filter(pk=attempt.pk).update(process=DEAD)

    assert command_execute(**run) == "UNKNOWN"

    assert len(broker.log) == 1
