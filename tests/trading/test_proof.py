"""When a stop may stop waiting for a permit whose hand-over is not recorded: by the word of its holder, or its death."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from apps.brokers.errors import BrokerUnavailableError
from apps.brokers.port import SessionStatus
from apps.brokers.selectors import connection_facts
from apps.common import heartbeats
from apps.common.db import database_now, tenant_scope
from apps.engine.model.choices import OrderState, RunLevel
from apps.trading import process
from apps.trading.gateway import sessions, stopping
from apps.trading.gateway.stopping import stop_run
from apps.trading.models import OrderAttempt, StopAcknowledgement, StopRequest
from apps.trading.process import GOING_ON, Fate, Rounds, permit_at_hand, permit_is_at_hand
from apps.trading.services.stop_effects import attempts_fence
from apps.trading.services.stops import DrainResult, stop_drain
from tests.kit.broker import FakeBroker, FakeChannel
from tests.kit.factories.trading import TradingTenant, make_entry, set_level
from tests.kit.processes import wait_for

ELSEWHERE = "another-host:1:1"
HOST = process.identity().rsplit(":", 2)[0]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield child
    child.kill()
    child.wait()


def name_of(pid: int) -> str:
    return f"{HOST}:{pid}:{process._stat(pid)[process._START_TIME_FIELD]}"


def permit_of(tenant: TradingTenant, holder: str, *, ended_ago: float) -> OrderAttempt:
    """A permit without a recorded hand-over that ended so many seconds ago."""
    intent = make_entry(tenant)
    with tenant_scope(tenant.tenant_id):
        return OrderAttempt.objects.create(
            intent=intent,
            kind="PLACE",
            purpose="ENTRY",
            fence=1,
            permit_until=database_now() - timedelta(seconds=ended_ago),
            process=holder,
        )


def drain(tenant: TradingTenant, stop: StopRequest) -> DrainResult:
    with tenant_scope(tenant.tenant_id):
        return stop_drain(stop.pk)


def test_own_permit_that_nobody_holds_is_over_at_once(asha) -> None:
    permit_of(asha, process.identity(), ended_ago=-60)

    assert drain(asha, set_level(asha, RunLevel.STOP)).is_drained


def test_own_permit_at_hand_is_waited_for_however_old_it_is(asha) -> None:
    """The thread that holds it may have been asleep since its last look at the deadline."""
    attempt = permit_of(asha, process.identity(), ended_ago=3600)
    stop = set_level(asha, RunLevel.STOP)

    with permit_at_hand(attempt.intent_id, None, attempt.fence):
        during = drain(asha, stop)

    assert (during.is_drained, during.waiting_for) == (False, (process.identity(),))
    assert drain(asha, stop).is_drained


def test_order_between_permit_and_hand_over_is_waited_for_and_then_refused(asha, broker, execute, reconcile) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    seen: list[DrainResult] = []

    def stop_now() -> None:
        seen.append(drain(asha, set_level(asha, RunLevel.STOP)))

    broker.on_open = stop_now

    assert execute(asha, intent) is OrderState.DEAD

    assert (seen[0].is_drained, seen[0].waiting_for) == (False, (process.identity(),))
    assert broker.log == []
    assert not permit_is_at_hand(intent.pk, None, 1)


def test_permit_is_used_up_once_the_bytes_are_handed_over(
    asha, broker: FakeBroker, execute, reconcile, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    at_hand: list[bool] = []
    broker.on_hand_over = lambda: at_hand.append(permit_is_at_hand(intent.pk, None, 1))
    answer = FakeChannel.answer

    def look_and_answer(self: FakeChannel, *, deadline_seconds: float) -> object:
        at_hand.append(permit_is_at_hand(intent.pk, None, 1))
        return answer(self, deadline_seconds=deadline_seconds)

    monkeypatch.setattr(FakeChannel, "answer", look_and_answer)

    execute(asha, intent)

    assert at_hand == [True, False]


def test_permit_of_a_living_process_is_over_when_it_has_gone_on_after_it(asha, sleeper, settings) -> None:
    """A process that lives may have been held until a moment ago, with the bytes still in its hands."""
    holder = name_of(sleeper.pid)
    attempt = permit_of(asha, holder, ended_ago=3600)
    stop = set_level(asha, RunLevel.STOP)
    pause_over = attempt.permit_until + timedelta(seconds=settings.ARUN_PAUSE_SECONDS)

    assert drain(asha, stop).waiting_for == (holder,)
    heartbeats.beat(GOING_ON, instance=holder, at=pause_over - timedelta(milliseconds=1))
    assert drain(asha, stop).waiting_for == (holder,)
    heartbeats.beat(GOING_ON, instance=holder, at=pause_over + timedelta(milliseconds=1))
    os.kill(sleeper.pid, signal.SIGSTOP)
    wait_for(lambda: process.fate(holder) is Fate.STOPPED, seconds=5, what="the stop")
    assert drain(asha, stop).waiting_for == (holder,)
    os.kill(sleeper.pid, signal.SIGCONT)
    wait_for(lambda: process.fate(holder) is Fate.ALIVE, seconds=5, what="the end of the stop")

    assert drain(asha, stop).is_drained


def test_round_tells_the_moment_of_the_one_before(db, monkeypatch: pytest.MonkeyPatch) -> None:
    monotonic = [100.0]
    monkeypatch.setattr(process.time, "monotonic", lambda: monotonic[0])
    rounds = Rounds()

    def told() -> datetime | None:
        return heartbeats.last_seen(GOING_ON, process.identity())

    rounds.tell()
    assert told() is None
    between = database_now()
    monotonic[0] += 1
    rounds.tell()
    first = told()
    assert first is not None
    assert first < between
    monotonic[0] += 60  # held for a minute, perhaps
    rounds.tell()
    assert told() == first
    monotonic[0] += 1
    rounds.tell()
    assert told() > between


# --- the fence that the broker enforces -------------------------------------------------------------------------------


class Session:
    """A broker that ends the session, or says nothing."""

    def __init__(self, *, answers: bool = True) -> None:
        self.answers = answers

    def logout(self) -> SessionStatus:
        if not self.answers:
            raise BrokerUnavailableError("no answer")
        return SessionStatus.EXPIRED


def revoke(tenant: TradingTenant, monkeypatch: pytest.MonkeyPatch, *, answers: bool = True) -> bool:
    monkeypatch.setattr(sessions, "session_for", lambda facts: Session(answers=answers))
    stop = set_level(tenant, RunLevel.REVOKE)
    return stop_run(tenant_id=tenant.tenant_id, stop_id=stop.pk)


def closed_at(tenant: TradingTenant, attempt: OrderAttempt) -> datetime | None:
    with tenant_scope(tenant.tenant_id):
        return OrderAttempt.objects.get(pk=attempt.pk).closed_at


@pytest.fixture(autouse=True)
def short_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "DRAIN_SECONDS", 0.05)


def test_ended_session_fences_off_a_sender_of_whom_nothing_is_known(asha, monkeypatch) -> None:
    attempt = permit_of(asha, ELSEWHERE, ended_ago=3600)

    assert revoke(asha, monkeypatch) is True

    assert closed_at(asha, attempt) is not None
    with tenant_scope(asha.tenant_id):
        (line,) = StopAcknowledgement.objects.get(stop__level=RunLevel.REVOKE).in_flight
    assert line["intent"] == str(attempt.intent_id)  # what the broker had taken before may still fill


def test_session_of_which_it_is_not_known_that_it_ended_fences_nobody_off(asha, monkeypatch) -> None:
    attempt = permit_of(asha, ELSEWHERE, ended_ago=3600)

    assert revoke(asha, monkeypatch, answers=False) is False

    assert closed_at(asha, attempt) is None


def test_permit_given_since_the_session_ended_is_not_fenced_off(asha, monkeypatch) -> None:
    attempt = permit_of(asha, ELSEWHERE, ended_ago=-60)
    with tenant_scope(asha.tenant_id):
        OrderAttempt.objects.update(permitted_at=database_now() + timedelta(seconds=30))

    assert revoke(asha, monkeypatch) is False

    assert closed_at(asha, attempt) is None


def test_ended_session_fences_off_its_own_connection_alone(asha, monkeypatch) -> None:
    attempt = permit_of(asha, ELSEWHERE, ended_ago=3600)

    with tenant_scope(asha.tenant_id):
        assert attempts_fence(uuid4(), permitted_before=database_now()) == 0

    assert closed_at(asha, attempt) is None


def test_each_session_is_tried_although_one_broker_says_nothing(asha, monkeypatch) -> None:
    asked: list[str] = []

    class Asked(Session):
        def logout(self) -> SessionStatus:
            asked.append("asked")
            return super().logout()

    answers = iter([False, True])
    monkeypatch.setattr(sessions, "session_for", lambda facts: Asked(answers=next(answers)))
    with tenant_scope(asha.tenant_id):
        facts = connection_facts(asha.connection_id)

    assert sessions.end_sessions(asha.tenant_id, [facts, facts], message="") is False

    assert len(asked) == 2
