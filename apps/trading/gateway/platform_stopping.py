"""Carrying a stop above the tenants out: account by account, each in a scope of its own, and one answer at the end.

Any number of gateways may try. One of them works at a time, for as long as it keeps its lease; what it has settled
stays settled, so whoever takes over after a kill only goes through the rest.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from queue import Empty, SimpleQueue
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connections

from apps.common import crash
from apps.common.db import database_now, tenant_scope
from apps.common.errors import ArunError
from apps.engine.errors import EngineError
from apps.engine.model.choices import RunLevel
from apps.trading import process
from apps.trading.dispatch import tenants_listed
from apps.trading.gateway.sessions import end_sessions, open_sessions, sessions_to_end, sessions_to_open
from apps.trading.models import PlatformStopAcknowledgement, PlatformStopRequest
from apps.trading.platform_selectors import lifts_revoke, previous_level, superseding_epoch
from apps.trading.services.platform_stops import (
    LATE,
    NOT_CONCERNED,
    Part,
    platform_drain_claim,
    platform_drain_note,
    platform_drain_release,
    platform_stop_acknowledge,
    platform_stop_barrier,
    platform_stop_escalate,
    platform_stop_settle,
    platform_stop_tell_late,
)

log = structlog.get_logger(__name__)

DRAIN_SECONDS = 5.0
"""How long one call keeps trying, after it went once through all accounts, before it leaves the rest to the next."""

NOTE_SECONDS = 1.0
"""How often a drain says how far it is, which also keeps its lease."""

FEW_ACCOUNTS = 16
"""Up to so many accounts are settled one after the other: opening more connections would take as long."""

SETTLE_THREADS = 4
"""Accounts that are settled at the same time. Each is a small commit, and commits wait for the disk together."""

SESSION_THREADS = 8
"""Accounts whose sessions are ended or opened at the same time: a broker takes up to seconds for each."""

_FIRST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.25
_SENDING = "a send that is handing over"
_SESSION = "a broker session"

# What may go wrong in one account and must not keep the others from being settled; the account is tried again.
_TROUBLE = (ArunError, EngineError, DatabaseError, InterfaceError)


def platform_stop_run(stop_id: int) -> bool:
    """Bring a stop above the tenants to its acknowledgement; return whether it has it.

    Safe to run twice and at the same time.
    """
    stop: PlatformStopRequest = PlatformStopRequest.objects.get(pk=stop_id)
    if PlatformStopAcknowledgement.objects.filter(stop=stop).exists():
        return True
    holder = uuid4()
    if not platform_drain_claim(stop_id=stop_id, holder=holder):
        return False
    try:
        return _Drain(stop, holder).run()
    finally:
        platform_drain_release(stop_id=stop_id, holder=holder)


class _LeaseLostError(Exception):
    """Another drain took this one for dead. Leave the rest to it."""


class _Drain:
    """One try at one stop."""

    def __init__(self, stop: PlatformStopRequest, holder: UUID) -> None:
        self.stop = stop
        self.holder = holder
        self.was = previous_level(stop)
        self.lifts_revoke = lifts_revoke(stop)
        self.calls_brokers = stop.level == RunLevel.REVOKE or self.lifts_revoke
        self.settled: dict[UUID, Part] = {}
        self.waiting: dict[UUID, Part] = {}
        self.accounts: tuple[UUID, ...] = ()
        self.is_barred = False
        self.is_abandoned = False
        self._noted_at = time.monotonic()

    def run(self) -> bool:
        pause = _FIRST_PAUSE_SECONDS
        give_up_at = time.monotonic() + DRAIN_SECONDS
        try:
            while not self._is_answered():
                self._note()
                if time.monotonic() > give_up_at:
                    self._escalate_when_late()
                    return False
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        except _LeaseLostError:
            log.warning("platform_drain_taken_over", stop=self.stop.pk)
            return False
        return True

    def _is_answered(self) -> bool:
        """Go once through what is left to do, and answer the stop when nothing is."""
        superseding = superseding_epoch(self.stop)
        if superseding is not None:
            platform_stop_acknowledge(self.stop, NOT_CONCERNED, superseded_by=superseding)
            return True
        if not self.is_barred:
            self.is_barred = platform_stop_barrier(self.stop)
            self.accounts = tenants_listed()  # one that comes later sees the request in all it does
        if self.is_barred:
            self._pass()
        if not self.is_barred or self.waiting:
            return False
        crash.here("platform_stop.settled")
        platform_stop_acknowledge(self.stop, sum(self.settled.values(), start=NOT_CONCERNED))
        return True

    def _pass(self) -> None:
        """Try each account that is not settled yet once."""
        self.waiting = {}
        open_accounts = [tenant_id for tenant_id in self.accounts if tenant_id not in self.settled]
        for tenant_id, part in self._parts(open_accounts):
            (self.settled if part.is_settled else self.waiting)[tenant_id] = part
            if time.monotonic() > self._noted_at + NOTE_SECONDS:
                self._note()

    def _parts(self, tenant_ids: Sequence[UUID]) -> Iterator[tuple[UUID, Part]]:
        if not self.calls_brokers and len(tenant_ids) <= FEW_ACCOUNTS:
            for tenant_id in tenant_ids:
                yield tenant_id, self._settle(tenant_id)
                crash.here("platform_stop.account")
            return
        todo: SimpleQueue[UUID] = SimpleQueue()
        done: SimpleQueue[tuple[UUID, Part]] = SimpleQueue()
        for tenant_id in tenant_ids:
            todo.put(tenant_id)
        threads = min(len(tenant_ids), SESSION_THREADS if self.calls_brokers else SETTLE_THREADS)
        with ThreadPoolExecutor(max(threads, 1)) as pool:
            for _thread in range(threads):
                pool.submit(self._work_through, todo, done)
            for _account in tenant_ids:
                yield self._next(done)

    def _next(self, done: "SimpleQueue[tuple[UUID, Part]]") -> tuple[UUID, Part]:
        """Wait for a thread's next account, and keep the lease meanwhile."""
        while True:
            try:
                return done.get(timeout=NOTE_SECONDS)
            except Empty:
                self._note()

    def _work_through(self, todo: "SimpleQueue[UUID]", done: "SimpleQueue[tuple[UUID, Part]]") -> None:
        """Settle accounts until none is left, in a thread with a database connection of its own."""
        try:
            while not self.is_abandoned:
                tenant_id = todo.get_nowait()
                try:
                    part = self._settle(tenant_id)
                except Exception:
                    # The outermost loop of this thread: the account counts as not settled, and is tried again.
                    log.exception("platform_stop_failed", tenant_id=str(tenant_id), stop=self.stop.pk)
                    part = _trouble("unexpected")
                done.put((tenant_id, part))
        except Empty:
            return
        finally:
            connections.close_all()

    def _settle(self, tenant_id: UUID) -> Part:
        try:
            if self.stop.level == RunLevel.REVOKE and not self._end_sessions(tenant_id):
                return _trouble(_SESSION)
            with tenant_scope(tenant_id):
                part = platform_stop_settle(self.stop, was=self.was)
            if self.lifts_revoke and part.is_settled:
                self._open_sessions(tenant_id)
        except _TROUBLE as error:
            log.warning("platform_stop_trouble", tenant_id=str(tenant_id), stop=self.stop.pk, error=repr(error)[:200])
            if isinstance(error, (DatabaseError, InterfaceError)):
                connections["default"].close()
            return _trouble(type(error).__name__)
        return part

    def _end_sessions(self, tenant_id: UUID) -> bool:
        with tenant_scope(tenant_id):
            sessions = sessions_to_end(self.stop)
        return end_sessions(tenant_id, sessions, message="Ended by ARUN's operator.")

    def _open_sessions(self, tenant_id: UUID) -> None:
        with tenant_scope(tenant_id):
            sessions = sessions_to_open(self.stop)
        open_sessions(tenant_id, sessions)

    def _note(self) -> None:
        self._noted_at = time.monotonic()
        kept = platform_drain_note(
            stop_id=self.stop.pk, holder=self.holder, tenants=len(self.accounts), settled=len(self.settled)
        )
        if not kept:
            self.is_abandoned = True
            raise _LeaseLostError

    def _escalate_when_late(self) -> None:
        """After ARUN_STOP_ESCALATION_SECONDS: say so, and kill the processes that cannot be vouched for."""
        if database_now() - self.stop.requested_at <= timedelta(seconds=settings.ARUN_STOP_ESCALATION_SECONDS):
            return
        waited_for = sorted({name for part in self.waiting.values() for name in part.waiting_for})
        if not self.is_barred:
            waited_for = [_SENDING]
        data = {"waiting_for": waited_for, "accounts": len(self.waiting)}
        if platform_stop_escalate(stop=self.stop, step=LATE, data=data):
            log.error("platform_stop_late", stop=self.stop.pk, **data)
            for tenant_id in self.waiting:
                with tenant_scope(tenant_id):
                    platform_stop_tell_late(self.stop)
        for recorded in waited_for:
            if recorded.count(":") < 2:  # noqa: PLR2004 - not the name of a process
                continue
            gone = process.end(recorded)
            log.error("platform_stop_escalated", stop=self.stop.pk, process=recorded, gone=gone)
            step = "process_killed" if gone else "process_out_of_reach"
            platform_stop_escalate(stop=self.stop, step=step, data={"process": recorded})


def _trouble(what: str) -> Part:
    return Part(is_settled=False, accounts=1, waiting_for=(what,))
