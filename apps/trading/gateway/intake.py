"""What comes in at the gateway and where it goes: orders and readings to one desk, stops to another, those above the
tenants to a third.

Wake-up calls come over Celery's queues and are only looked at there; the work is done in the slots of the desks. A
thread of its own sweeps the list of due work every second, so that a gateway does its work without Redis and without
beat. A process that is no gateway (a shell, a test) does at once what it takes in.
"""

import atexit
import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import close_old_connections, connections

from apps.brokers.selectors import connection_facts
from apps.brokers.testing import connection_test_run
from apps.common import logs
from apps.common.db import tenant_scope
from apps.common.keys import tenant_key
from apps.common.locks import LockHeldError, LockUnavailableError, RedisLock
from apps.common.models import WorkItem
from apps.trading import reconciler
from apps.trading.gateway import execute, platform_stopping, stopping
from apps.trading.gateway.desk import Desk, Job
from apps.trading.platform_selectors import platform_stops_waiting
from apps.trading.process import Rounds
from apps.trading.sweep import order_needs, sweep

log = logs.get(__name__)

KEPT_FOR_URGENT = 2
"""Slots that purchases and readings never take: one sale may hang and the next one still leaves."""

STOP_SLOTS = 4
"""Stops at the same time. A drain waits for locks and processes, and only ending a session waits for a broker."""

PLATFORM_STOP_SLOTS = 2
"""Stops above the tenants at the same time. One goes through all accounts; it must not keep their own stops waiting."""

SWEEP_SECONDS = 1.0

CLOSE_SECONDS = 20.0
"""How long an ending gateway waits for what runs; the longest is a broker's answer."""

_PLATFORM_STOP = "platform-stop"
RECONCILE_LOCK_SECONDS = 5.0  # a killed reader must not keep others away for long; two readers at once are harmless


@dataclass(frozen=True, slots=True)
class _Gateway:
    orders: Desk
    stops: Desk
    platform_stops: Desk
    ending: threading.Event
    sweeper: threading.Thread


class _Here:
    """What runs in this process."""

    gateway: _Gateway | None = None


def gateway_open() -> None:
    """Make this process a gateway: open its desks and sweep for them."""
    ending = threading.Event()
    _Here.gateway = _Gateway(
        orders=Desk("order", slots=settings.ARUN_GATEWAY_SLOTS, kept_for_urgent=KEPT_FOR_URGENT),
        stops=Desk("stop", slots=STOP_SLOTS),
        platform_stops=Desk(_PLATFORM_STOP, slots=PLATFORM_STOP_SLOTS),
        ending=ending,
        sweeper=threading.Thread(target=_sweep_until, args=(ending,), name="sweeper", daemon=True),
    )
    _Here.gateway.sweeper.start()
    atexit.register(gateway_close)


def gateway_close() -> None:
    """Begin nothing any more, and wait for what runs: its answers are still to be written down."""
    gateway, _Here.gateway = _Here.gateway, None
    if gateway is None:
        return
    atexit.unregister(gateway_close)
    gateway.ending.set()
    desks = (gateway.platform_stops, gateway.stops, gateway.orders)
    for desk in desks:
        desk.close()
    give_up_at = time.monotonic() + CLOSE_SECONDS
    ended = [desk.wait(seconds=give_up_at - time.monotonic()) for desk in desks]
    gateway.sweeper.join(max(0.0, give_up_at - time.monotonic()))
    if not all(ended):
        log.error("gateway_closed_too_early")


def _sweep_until(ending: threading.Event) -> None:
    rounds = Rounds()
    while not ending.wait(SWEEP_SECONDS):
        try:
            close_old_connections()
            rounds.tell()
            look_around()
        except Exception:
            log.exception("sweep_failed")  # the outermost loop; the next round comes in a second
    connections.close_all()


def look_around() -> None:
    """Take in what is due: stops above the tenants that wait for their answer, and then the list of due work."""
    for stop_id in platform_stops_waiting():
        platform_stop_take(stop_id)
    sweep(take)


def take(kind: WorkItem.Kind, tenant_id: UUID, object_id: UUID) -> None:
    """Take one item of the list of due work in."""
    if kind is WorkItem.Kind.STOP:
        stop_take(tenant_id=tenant_id, stop_id=object_id)
    elif kind is WorkItem.Kind.ORDER:
        order_take(tenant_id=tenant_id, intent_id=object_id)
    else:
        books_take(tenant_id=tenant_id, connection_id=object_id)


def order_take(*, tenant_id: UUID, intent_id: UUID) -> None:
    """Take an order in: its send, its commands, or a reading of the books that settle it."""
    needs = order_needs(tenant_id=tenant_id, intent_id=intent_id)
    if needs is None:
        return
    if needs.wants_send:
        send = partial(execute.order_execute, tenant_id=tenant_id, intent_id=intent_id)
        _give(Job(name=("order", intent_id), broker=needs.broker, is_urgent=needs.is_sale, run=send))
    for command_id in needs.commands:
        # Most are cancels under a stop; and a change of a resting order may be how a lot is sold.
        command = partial(execute.command_execute, tenant_id=tenant_id, command_id=command_id)
        _give(Job(name=("command", command_id), broker=needs.broker, is_urgent=True, run=command))
    if needs.wants_books:
        _give_reading(tenant_id, needs.connection_id, needs.broker)


def books_take(*, tenant_id: UUID, connection_id: UUID) -> None:
    """Take a reading of a connection's books in."""
    with tenant_scope(tenant_id):
        broker = connection_facts(connection_id).broker
    _give_reading(tenant_id, connection_id, broker)


def connection_test_take(*, tenant_id: UUID, connection_id: UUID, test_id: UUID) -> None:
    """Take a customer's test of a connection in. It waits for a broker, so it stands behind whatever is urgent."""
    with tenant_scope(tenant_id):
        broker = connection_facts(connection_id).broker
    run = partial(connection_test_run, tenant_id=tenant_id, test_id=test_id)
    _give(Job(name=("connection-test", test_id), broker=broker, is_urgent=False, run=run))


def stop_take(*, tenant_id: UUID, stop_id: UUID) -> None:
    """Take a stop in. Its slots are its own: no order, however slow its broker, can hold them."""
    broker = stopping.stop_broker(tenant_id=tenant_id, stop_id=stop_id)
    run = partial(stopping.stop_run, tenant_id=tenant_id, stop_id=stop_id)
    _give(Job(name=("stop", stop_id), broker=broker, is_urgent=True, run=run))


def platform_stop_take(stop_id: int) -> None:
    """Take a stop above the tenants in."""
    run = partial(platform_stopping.platform_stop_run, stop_id)
    _give(Job(name=(_PLATFORM_STOP, stop_id), broker="", is_urgent=True, run=run))


def _give_reading(tenant_id: UUID, connection_id: UUID, broker: str) -> None:
    run = partial(_read_books, tenant_id=tenant_id, connection_id=connection_id)
    _give(Job(name=("books", connection_id), broker=broker, is_urgent=False, run=run))


def _give(job: Job) -> None:
    gateway = _Here.gateway
    if gateway is None:
        job.run()
    else:
        desks = {"stop": gateway.stops, _PLATFORM_STOP: gateway.platform_stops}
        desks.get(job.name[0], gateway.orders).offer(job)


def _read_books(*, tenant_id: UUID, connection_id: UUID) -> None:
    """Compare one connection with its broker, one reading at a time: a second one would only take a slot."""
    lock = RedisLock(tenant_key(tenant_id, "reconcile", connection_id), ttl_seconds=RECONCILE_LOCK_SECONDS)
    with contextlib.suppress(LockHeldError), _saving_work(lock):
        reconciler.connection_reconcile(tenant_id=tenant_id, connection_id=connection_id)


@contextlib.contextmanager
def _saving_work(lock: RedisLock) -> Iterator[None]:
    """Hold the lock for the block; without Redis the block runs all the same, for the lock only saves work."""
    try:
        if not lock.acquire():
            raise LockHeldError("the connection is being read")
    except LockUnavailableError:
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(LockUnavailableError):
            lock.release()
