"""The relay against real commits. Push and handlers are recorded; Redis itself stands in one test at the end."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import redis
from channels.layers import get_channel_layer
from django.db import connections, transaction

from apps.common import events, outbox
from apps.common import relay as relay_module
from apps.common.db import tenant_scope
from apps.common.keys import live_group
from apps.common.models import Heartbeat, OutboxEvent
from apps.common.relay import MOST_ATTEMPTS, LivePush, Relay
from tests.kit.factories.people import make_tenant


@pytest.fixture
def pushed():
    return []


@pytest.fixture
def relay(committed_db, pushed):
    relay = Relay(push=lambda batch: pushed.extend((event.tenant_id, event.seq, event.kind) for event in batch))
    yield relay
    relay._listener.close()


@pytest.fixture
def handled():
    """Record the events of kind `Ping`; a test may replace the handler's body."""
    calls = []
    calls_of = {"do": calls.append}

    def handler(event):
        calls_of["do"](event)

    events.subscribe("Ping", handler)
    calls_of["calls"] = calls
    yield calls_of
    events._handlers.pop("Ping")


def _ping(tenant, n=1):
    with tenant_scope(tenant.id):
        for i in range(n):
            events.publish("Ping", tenant_id=tenant.id, data={"i": i})


def _environment():
    """Return this session's addresses for a process that is no test run of its own."""
    return {name: value for name, value in os.environ.items() if name != "PYTEST_VERSION"}


def _row(kind="Ping"):
    return OutboxEvent.objects.using("relay").filter(kind=kind).first()


def test_step_numbers_each_tenants_events_from_one(relay, pushed):
    first, second = make_tenant(), make_tenant()
    _ping(first, 3)
    _ping(second, 1)

    relay.step()

    def seqs(tenant):
        return [seq for owner, seq, _ in pushed if owner == tenant.id]

    assert seqs(first) == [1, 2, 3, 4]  # the first is TenantCreated
    assert seqs(second) == [1, 2]


def test_step_goes_on_where_the_stream_stood(relay, pushed):
    tenant = make_tenant()
    relay.step()
    _ping(tenant, 2)

    relay.step()

    assert [(seq, kind) for _, seq, kind in pushed] == [(1, "TenantCreated"), (2, "Ping"), (3, "Ping")]


def test_step_publishes_each_event_once(relay, pushed, handled):
    _ping(make_tenant())

    relay.step()
    relay.step()

    assert len(pushed) == 2
    assert [event.data for event in handled["calls"]] == [{"i": 0}]
    assert outbox.backlog() == (0, 0.0, 0)


def test_event_of_a_transaction_that_commits_later_gets_the_later_number(relay, pushed):
    tenant = make_tenant()
    relay.step()
    is_open, may_commit = threading.Event(), threading.Event()

    def slow_writer():
        try:
            with tenant_scope(tenant.id):
                events.publish("Slow", tenant_id=tenant.id)
                is_open.set()
                may_commit.wait(8)
        finally:
            connections.close_all()

    writer = threading.Thread(target=slow_writer)
    writer.start()
    is_open.wait(8)
    _ping(tenant)

    relay.step()
    before = [kind for _, _, kind in pushed]
    may_commit.set()
    writer.join()
    relay.step()

    assert before == ["TenantCreated", "Ping"]
    assert [(seq, kind) for _, seq, kind in pushed] == [(1, "TenantCreated"), (2, "Ping"), (3, "Slow")]


def test_rolled_back_event_is_never_told(relay, pushed):
    tenant = make_tenant()

    def fail_halfway():
        with tenant_scope(tenant.id):
            events.publish("Ping", tenant_id=tenant.id)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()

    relay.step()

    assert [kind for _, _, kind in pushed] == ["TenantCreated"]


def test_failing_handler_is_tried_again_and_keeps_nobody_waiting(relay, handled):
    tenant = make_tenant()
    _ping(tenant)

    def fail(event):
        raise KeyError("broken")

    handled["do"] = fail
    relay.step()
    waiting = _row()
    _ping(make_tenant())
    handled["do"] = handled["calls"].append
    relay.step()

    assert (waiting.attempts, waiting.published_at, waiting.parked_at) == (1, None, None)
    assert waiting.retry_at is not None
    assert [event.tenant_id == tenant.id for event in handled["calls"]] == [False]


def test_failing_handler_does_not_push_again(relay, pushed, handled, committed_db):
    _ping(make_tenant())
    handled["do"] = lambda event: {}["nothing"]
    relay.step()
    with committed_db.connect() as owner:
        owner.execute("UPDATE common_outboxevent SET retry_at = NULL")
    relay.step()

    assert _row().attempts == 2
    assert [kind for _, _, kind in pushed] == ["TenantCreated", "Ping"]


def test_poison_event_is_parked_after_its_attempts(relay, handled, committed_db):
    _ping(make_tenant())
    handled["do"] = lambda event: {}["nothing"]

    for _ in range(MOST_ATTEMPTS):
        relay.step()
        with committed_db.connect() as owner:
            owner.execute("UPDATE common_outboxevent SET retry_at = NULL")
    row = _row()
    relay.step()

    assert row.parked_at is not None
    assert _row().attempts == MOST_ATTEMPTS
    assert outbox.backlog()[2] == 1


def test_queue_outage_counts_nothing_against_the_event(relay, handled):
    _ping(make_tenant())

    def outage(event):
        raise redis.ConnectionError("down")

    handled["do"] = outage
    for _ in range(MOST_ATTEMPTS + 1):
        relay.step()
    still_waiting = _row()
    handled["do"] = handled["calls"].append
    relay.step()

    assert (still_waiting.attempts, still_waiting.published_at) == (0, None)
    assert len(handled["calls"]) == 1
    assert _row().published_at is not None


def test_channel_outage_numbers_events_and_delivers_them_later(committed_db, pushed, handled):
    state = {"down": True}

    def push(batch):
        if state["down"]:
            raise redis.ConnectionError("down")
        pushed.extend(event.kind for event in batch)

    relay = Relay(push=push)
    tenant = make_tenant()
    _ping(tenant)
    relay.step()
    handled_meanwhile = len(handled["calls"])
    with tenant_scope(tenant.id):
        gap = outbox.events_since(0)
    state["down"] = False
    relay.step()

    assert [event.kind for event in gap.events] == ["TenantCreated", "Ping"]
    assert handled_meanwhile == 1
    assert pushed == ["TenantCreated", "Ping"]
    assert len(handled["calls"]) == 1
    assert outbox.backlog() == (0, 0.0, 0)


def test_handler_that_misses_a_file_is_its_own_fault(relay, handled):
    _ping(make_tenant())

    def miss(event):
        raise FileNotFoundError

    handled["do"] = miss
    relay.step()

    assert _row().attempts == 1


def test_events_since_gives_what_followed(relay):
    tenant = make_tenant()
    _ping(tenant, 3)
    relay.step()

    with tenant_scope(tenant.id):
        gap = outbox.events_since(2)
        nothing = outbox.events_since(4)
        cut = outbox.events_since(0, limit=2)

    assert [(event.seq, event.data) for event in gap.events] == [(3, {"i": 1}), (4, {"i": 2})]
    assert (gap.last_seq, gap.is_complete) == (4, True)
    assert (nothing.events, nothing.is_complete) == ((), True)
    assert ([event.seq for event in cut.events], cut.is_complete) == ([1, 2], False)


def test_events_since_of_another_tenant_are_not_there(relay):
    tenant, other = make_tenant(), make_tenant()
    _ping(tenant, 3)
    relay.step()

    with tenant_scope(other.id):
        assert [event.kind for event in outbox.events_since(0).events] == ["TenantCreated"]


def test_prune_takes_day_old_published_events_alone(relay, committed_db):
    _ping(make_tenant(), 2)
    relay.step()
    _ping(make_tenant())
    with committed_db.connect() as owner:
        owner.execute("UPDATE common_outboxevent SET published_at = published_at - interval '25 hours' WHERE seq = 2")

    assert outbox.prune() == 1
    assert OutboxEvent.objects.using("relay").count() == 4


def test_second_relay_waits_while_the_first_leads(relay):
    second = Relay(push=list)

    assert relay._listener.lead() is True
    assert second._listener.lead() is False
    relay._listener.close()
    assert second._listener.lead() is True
    second._listener.close()


def test_numbering_at_the_same_time_leaves_no_gap_and_no_double(committed_db):
    tenant = make_tenant()
    done = threading.Event()

    def number():
        try:
            while not done.is_set():
                outbox.number_events()
            outbox.number_events()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=number) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        _ping(tenant, 2)
    done.set()
    for thread in threads:
        thread.join()
    outbox.number_events()

    seqs = sorted(OutboxEvent.objects.using("relay").values_list("seq", flat=True))
    assert seqs == list(range(1, 62))


def test_insert_wakes_the_listener(relay):
    tenant = make_tenant()
    relay._listener.lead()
    writer = threading.Timer(0.2, lambda: (_ping(tenant), connections.close_all()))
    writer.start()

    began = time.monotonic()
    relay._listener.wait(5.0)
    waited = time.monotonic() - began
    writer.join()

    assert waited < 4.5


def test_live_push_reaches_the_tenants_group(committed_db, valkey):
    tenant, other = make_tenant(), make_tenant()
    _ping(tenant)
    push = LivePush()

    async def join():
        layer = get_channel_layer()
        await layer.group_add(live_group(tenant.id), "test.ours")
        await layer.group_add(live_group(other.id), "test.theirs")

    async def receive(name):
        return await asyncio.wait_for(get_channel_layer().receive(name), 2)

    push._runner.run(join())
    relay = Relay(push=push)
    relay.step()
    ours = [push._runner.run(receive("test.ours")) for _ in range(2)]
    theirs = push._runner.run(receive("test.theirs"))
    with pytest.raises(asyncio.TimeoutError):
        push._runner.run(receive("test.theirs"))
    push.close()

    assert ours[1] == {"type": "live.event", "seq": 2, "kind": "Ping", "data": {"i": 0}}
    assert (theirs["seq"], theirs["kind"]) == (1, "TenantCreated")


def test_process_publishes_beats_and_ends_on_sigterm(committed_db, valkey):
    tenant = make_tenant()
    process = subprocess.Popen([sys.executable, "manage.py", "relay"], env=_environment())
    try:
        deadline = time.monotonic() + 20
        while outbox.backlog()[0] and time.monotonic() < deadline:
            time.sleep(0.1)
        _ping(tenant)
        began = time.monotonic()
        while outbox.backlog()[0] and time.monotonic() < began + 20:
            time.sleep(0.01)
        left = outbox.backlog()[0]
        process.send_signal(signal.SIGTERM)
        code = process.wait(20)
    finally:
        process.kill()

    assert left == 0
    assert code == 0
    assert [row.component for row in Heartbeat.objects.all()] == ["relay"]


def test_run_survives_a_lost_database_connection(committed_db, pushed, monkeypatch):
    relay = Relay(push=lambda batch: pushed.extend(event.kind for event in batch))
    monkeypatch.setattr(relay_module.time, "sleep", lambda seconds: None)

    def run():
        try:
            relay.run()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    tenant = make_tenant()
    _wait_for(lambda: pushed == ["TenantCreated"])
    with committed_db.connect("postgres") as admin:
        admin.execute("""
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE usename = 'arun_relay' AND datname = current_database()
        """)
    _ping(tenant)
    _wait_for(lambda: len(pushed) == 2)
    relay.stop()
    thread.join(5)

    assert pushed == ["TenantCreated", "Ping"]
    assert not thread.is_alive()


def _wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_outer_transaction_hides_events_from_the_relay(relay, pushed):
    tenant = make_tenant()
    relay.step()
    with transaction.atomic():
        _ping(tenant)
        relay.step()
        during = len(pushed)
    relay.step()

    assert (during, len(pushed)) == (1, 2)
