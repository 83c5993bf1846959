"""Stops above the tenants: found in every account, proven in every account, and told in one answer."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, connections, transaction
from kombu.exceptions import OperationalError as QueueError

from apps.brokers.errors import BrokerUnavailableError
from apps.brokers.models import BrokerConnection
from apps.brokers.port import ConnectionFacts, SessionStatus
from apps.common.db import tenant_scope
from apps.common.models import AuditEntry, OutboxEvent, WorkItem
from apps.engine.model.choices import OrderState, RunLevel
from apps.trading.errors import OrderMovedError
from apps.trading.gateway import intake, platform_stopping
from apps.trading.gateway import sessions as gateway_sessions
from apps.trading.gateway.execute import command_execute, order_execute
from apps.trading.gateway.platform_stopping import platform_stop_run
from apps.trading.gateway.stopping import stop_run
from apps.trading.models import (
    Bot,
    OrderAttempt,
    OrderCommand,
    OrderIntent,
    PlatformControl,
    PlatformStopAcknowledgement,
    PlatformStopEffect,
    PlatformStopEscalation,
    PlatformStopProgress,
    PlatformStopRequest,
    Position,
)
from apps.trading.platform_selectors import platform_stops_waiting
from apps.trading.process import identity
from apps.trading.reconciler import connection_reconcile
from apps.trading.services import platform_stops
from apps.trading.services.platform_stops import LEASE_SECONDS, Part, platform_drain_claim, platform_stop_settle
from apps.trading.tasks import platform
from tests.kit.broker import FakeBroker, Weather
from tests.kit.factories.stops import agreed_level, platform_stop
from tests.kit.factories.trading import (
    TradingTenant,
    make_entry,
    make_exit,
    make_instrument,
    make_trading_tenant,
    set_level,
)
from tests.kit.processes import run_python, wait_for

SCOPES = [("platform", ""), ("broker", "paper"), ("strategy", "rsi_reversion@1")]
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


def settle(tenant: TradingTenant, stop: PlatformStopRequest) -> Part:
    with tenant_scope(tenant.tenant_id):
        return platform_stop_settle(stop)


def states_of(tenant: TradingTenant, *intents: OrderIntent) -> list[str]:
    with tenant_scope(tenant.tenant_id):
        return [OrderIntent.objects.get(pk=intent.pk).state for intent in intents]


def platform_level(level: RunLevel, *, scope: str = "platform", key: str = "") -> PlatformStopRequest:
    """Write a level above the tenants, as the service does once two people agreed."""
    return PlatformStopRequest.objects.create(
        scope=scope, key=key, level=level, requested_by="staff:1", approved_by="staff:2", reason="test"
    )


def lot_of(tenant: TradingTenant, execute, reconcile) -> Position:
    """Buy ten shares along the real path."""
    reconcile(tenant)
    execute(tenant, make_entry(tenant))
    reconcile(tenant)
    with tenant_scope(tenant.tenant_id):
        return Position.objects.get(closed_at=None)


# --- which accounts there are -----------------------------------------------------------------------------------------


def test_dispatcher_finds_every_account_that_can_send(committed_db) -> None:
    tenants = [make_trading_tenant(name=name) for name in ("Asha", "Bala")]

    with connections["dispatch"].cursor() as cursor:
        cursor.execute("SELECT tenant_id FROM common_workitem WHERE kind = 'platform'")
        found = {row[0] for row in cursor.fetchall()}
    connections["dispatch"].close()

    assert found == {tenant.tenant_id for tenant in tenants}


@pytest.mark.parametrize("change", ["delete", "another kind"])
def test_account_stays_listed_while_it_can_send(asha, change) -> None:
    with tenant_scope(asha.tenant_id):
        listed = WorkItem.objects.filter(tenant_id=asha.tenant_id, kind=WorkItem.Kind.PLATFORM)
        attempt = listed.delete if change == "delete" else partial(listed.update, kind=WorkItem.Kind.ORDER)
        with pytest.raises(IntegrityError, match="find account"), transaction.atomic():
            attempt()

        assert listed.count() == 1


# --- the drain --------------------------------------------------------------------------------------------------------


def three_tenants() -> list[TradingTenant]:
    return [make_trading_tenant(name=name) for name in ("Asha", "Bala", "Chitra")]


def move_to_other_broker(tenant: TradingTenant) -> None:
    """There is one adapter only; a second broker's code is enough for what is asked here."""
    with tenant_scope(tenant.tenant_id):
        BrokerConnection.objects.update(broker="other")
    PlatformControl.objects.get_or_create(scope="broker", key="other")


def move_to_other_version(tenant: TradingTenant) -> None:
    with tenant_scope(tenant.tenant_id):
        Bot.objects.update(strategy_version=2)
    PlatformControl.objects.get_or_create(scope="strategy", key="rsi_reversion@2")


def answer_to(stop: PlatformStopRequest) -> PlatformStopAcknowledgement | None:
    return PlatformStopAcknowledgement.objects.filter(stop=stop).first()


def effects_of(tenant: TradingTenant) -> list[PlatformStopEffect]:
    with tenant_scope(tenant.tenant_id):
        return list(PlatformStopEffect.objects.order_by("at"))


def lost_permit(tenant: TradingTenant, process_name: str = "another-host:1:1") -> OrderAttempt:
    """A permit whose hand-over nobody recorded."""
    intent = make_entry(tenant)
    with tenant_scope(tenant.tenant_id):
        return OrderAttempt.objects.create(
            intent=intent,
            kind="PLACE",
            purpose="ENTRY",
            fence=1,
            permit_until=intent.created_at + timedelta(seconds=5),
            process=process_name,
        )


def end_permit(tenant: TradingTenant, attempt: OrderAttempt) -> None:
    with tenant_scope(tenant.tenant_id):
        OrderAttempt.objects.filter(pk=attempt.pk).update(process=f"{identity().rsplit(':', 2)[0]}:4194303:1")


@pytest.fixture
def quick(monkeypatch) -> None:
    """A drain that gives up soon."""
    monkeypatch.setattr(platform_stopping, "DRAIN_SECONDS", 0.3)


@pytest.fixture
def committed(committed_db) -> Iterator[None]:
    yield
    connections["dispatch"].close()


def in_threads(*jobs: Callable[[], object]) -> list[BaseException]:
    """Run the jobs at the same time and return what went wrong."""
    faults: list[BaseException] = []

    def run(job: Callable[[], object]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - the thread's fault is the test's finding
            faults.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return faults


def test_idle_platform_is_acknowledged_with_its_accounts(committed) -> None:
    tenants = three_tenants()
    stop = platform_stop()

    assert platform_stop_run(stop.pk) is True

    answer = answer_to(stop)
    assert (answer.tenants, answer.in_flight, answer.cancelled, answer.flattening) == (3, 0, 0, 0)
    assert answer.superseded_by is None
    assert [len(effects_of(tenant)) for tenant in tenants] == [1, 1, 1]


def test_draining_twice_acknowledges_once_and_settles_each_account_once(committed) -> None:
    tenants = three_tenants()
    stop = platform_stop()

    assert [platform_stop_run(stop.pk) for _again in range(2)] == [True, True]

    assert PlatformStopAcknowledgement.objects.count() == 1
    assert [len(effects_of(tenant)) for tenant in tenants] == [1, 1, 1]


@pytest.mark.parametrize(
    ("scope", "key", "move"),
    [("broker", "paper", move_to_other_broker), ("strategy", "rsi_reversion@1", move_to_other_version)],
)
def test_accounts_beside_the_scope_are_not_touched(committed, scope, key, move) -> None:
    asha, bala, chitra = three_tenants()
    move(chitra)
    waiting = {tenant: make_entry(tenant) for tenant in (asha, bala, chitra)}
    stop = platform_stop(scope=scope, key=key)

    platform_stop_run(stop.pk)

    def state(tenant: TradingTenant) -> str:
        with tenant_scope(tenant.tenant_id):
            return OrderIntent.objects.get(pk=waiting[tenant].pk).state

    assert [state(tenant) for tenant in (asha, bala, chitra)] == ["DEAD", "DEAD", "NEW"]
    assert [len(effects_of(tenant)) for tenant in (asha, bala, chitra)] == [1, 1, 0]
    assert answer_to(stop).tenants == 2


def test_account_tells_its_people_and_its_own_audit_log(committed) -> None:
    asha, *_others = three_tenants()
    stop = platform_stop()
    platform_stop_run(stop.pk)

    with tenant_scope(asha.tenant_id):
        event = OutboxEvent.objects.get(kind="PlatformStopSettled")
        entry = AuditEntry.objects.get(action="run_level.set_by_operator")
    assert (event.data["level"], event.data["scope"], event.data["was"]) == (2, "platform", 0)
    assert event.data["effect"] == str(effects_of(asha)[0].pk)
    assert (entry.actor, entry.data["epoch"]) == (stop.requested_by, stop.epoch)


@pytest.mark.parametrize(("scope", "key"), SCOPES)
def test_pause_above_ends_purchases_and_lets_sales_live(asha, broker, execute, reconcile, scope, key) -> None:
    position = lot_of(asha, execute, reconcile)
    sale = make_exit(asha, position, quantity=10)
    entry = make_entry(replace(asha, instrument_ids=(make_instrument("SIMOTHER").pk,)))
    stop = platform_stop(RunLevel.PAUSE_ENTRIES, scope=scope, key=key)

    part = settle(asha, stop)

    assert (part.is_settled, part.cancelled, part.flattening) == (True, 0, 0)
    assert states_of(asha, entry, sale) == [OrderState.DEAD, OrderState.NEW]
    assert execute(asha, sale) is OrderState.ACCEPTED


@pytest.mark.parametrize(("scope", "key"), SCOPES)
def test_stop_above_cancels_purchases_and_ends_sales(asha, broker, execute, reconcile, scope, key) -> None:
    position = lot_of(asha, execute, reconcile)
    broker.fills_at_once = False
    working = make_entry(replace(asha, instrument_ids=(make_instrument("SIMOTHER").pk,)))
    execute(asha, working)
    sale = make_exit(asha, position, quantity=10)
    stop = platform_stop(scope=scope, key=key)

    part = settle(asha, stop)

    assert (part.is_settled, part.cancelled, part.flattening) == (True, 1, 0)
    assert states_of(asha, sale) == [OrderState.DEAD]
    with tenant_scope(asha.tenant_id):
        command = OrderCommand.objects.get(intent=working)
    assert (command.kind, command.carried_stop) == ("CANCEL", f"platform-{stop.pk}")
    assert command_execute(tenant_id=asha.tenant_id, command_id=command.pk, make_broker=broker.broker) == "DONE"


@pytest.mark.parametrize(("scope", "key"), SCOPES)
def test_revoke_above_lists_what_goes_on_at_the_broker(asha, broker, execute, reconcile, scope, key) -> None:
    reconcile(asha)
    broker.fills_at_once = False
    working = make_entry(asha)
    execute(asha, working)
    stop = agreed_level(RunLevel.REVOKE, scope=scope, key=key)

    part = settle(asha, stop)

    assert (part.is_settled, part.cancelled, part.in_flight) == (True, 0, 1)
    with tenant_scope(asha.tenant_id):
        assert [line["intent"] for line in PlatformStopEffect.objects.get().in_flight] == [str(working.pk)]


def test_order_of_unknown_outcome_is_named_in_its_own_account_alone(committed, broker) -> None:
    asha, bala, _chitra = three_tenants()
    connection_reconcile(tenant_id=asha.tenant_id, connection_id=asha.connection_id, make_reads=broker.reads)
    intent = make_entry(asha)
    broker.weather = Weather.REQUEST_LOST
    order_execute(tenant_id=asha.tenant_id, intent_id=intent.pk, make_broker=broker.broker)
    stop = platform_stop()

    platform_stop_run(stop.pk)

    assert answer_to(stop).in_flight == 1
    assert [line["intent"] for line in effects_of(asha)[0].in_flight] == [str(intent.pk)]
    assert effects_of(bala)[0].in_flight == []


def test_flatten_sells_the_lots_of_two_tenants_and_not_those_at_another_broker(committed, broker) -> None:
    accounts = {tenant: FakeBroker() for tenant in three_tenants()}
    lots = {}
    for tenant, account in accounts.items():
        run = partial(connection_reconcile, tenant_id=tenant.tenant_id, connection_id=tenant.connection_id)
        run(make_reads=account.reads)
        order_execute(tenant_id=tenant.tenant_id, intent_id=make_entry(tenant).pk, make_broker=account.broker)
        run(make_reads=account.reads)
        with tenant_scope(tenant.tenant_id):
            lots[tenant] = Position.objects.get()
    _asha, bala, chitra = accounts
    move_to_other_broker(chitra)
    stop = agreed_level(RunLevel.FLATTEN, scope="broker", key="paper")

    assert platform_stop_run(stop.pk) is True
    for tenant, account in accounts.items():
        with tenant_scope(tenant.tenant_id):
            orders = list(OrderIntent.objects.filter(purpose="FLATTEN"))
        for order in orders:
            order_execute(tenant_id=tenant.tenant_id, intent_id=order.pk, make_broker=account.broker)

    assert answer_to(stop).flattening == 2
    sold = [[request.side for request in account.placed].count("SELL") for account in accounts.values()]
    assert sold == [1, 1, 0]
    assert [line["position"] for line in effects_of(bala)[0].flattening] == [str(lots[bala].pk)]


def test_lifting_wakes_the_bots_of_its_scope(committed, clock) -> None:
    asha, bala, chitra = three_tenants()
    move_to_other_broker(chitra)
    platform_stop_run(platform_stop(scope="broker", key="paper").pk)
    for tenant in (asha, bala, chitra):
        with tenant_scope(tenant.tenant_id):
            WorkItem.objects.filter(kind="cycle").update(due_at=clock.at + timedelta(minutes=1))

    platform_stop_run(agreed_level(RunLevel.RUNNING, scope="broker", key="paper").pk)

    def is_due(tenant: TradingTenant) -> bool:
        with tenant_scope(tenant.tenant_id):
            return WorkItem.objects.get(kind="cycle").due_at <= clock.at

    assert [is_due(tenant) for tenant in (asha, bala, chitra)] == [True, True, False]


def test_later_request_takes_the_place_of_an_earlier_one(committed) -> None:
    three_tenants()
    stop = platform_stop()
    lifted = agreed_level(RunLevel.RUNNING)

    assert [platform_stop_run(stop.pk), platform_stop_run(lifted.pk)] == [True, True]

    assert (answer_to(stop).superseded_by, answer_to(stop).tenants) == (lifted.epoch, 0)
    assert (answer_to(lifted).superseded_by, answer_to(lifted).tenants) == (None, 3)


def test_request_of_another_scope_takes_nothings_place(committed) -> None:
    three_tenants()
    stop = platform_stop()
    platform_stop(scope="broker", key="paper")

    platform_stop_run(stop.pk)

    assert answer_to(stop).superseded_by is None


# --- what is waited for -----------------------------------------------------------------------------------------------


def test_permit_of_a_lost_process_in_one_account_is_waited_for(committed, quick) -> None:
    asha, bala, chitra = three_tenants()
    attempt = lost_permit(bala)
    stop = platform_stop()

    assert platform_stop_run(stop.pk) is False
    assert answer_to(stop) is None
    progress = PlatformStopProgress.objects.get(stop=stop)
    assert (progress.tenants, progress.settled, progress.lease_until) == (3, 2, None)

    end_permit(bala, attempt)
    assert platform_stop_run(stop.pk) is True
    assert answer_to(stop).tenants == 3
    assert [len(effects_of(tenant)) for tenant in (asha, bala, chitra)] == [1, 1, 1]


def test_permit_that_the_level_allows_is_not_waited_for(asha, execute, reconcile) -> None:
    position = lot_of(asha, execute, reconcile)
    sale = make_exit(asha, position, quantity=10)
    with tenant_scope(asha.tenant_id):
        OrderAttempt.objects.create(
            intent=sale,
            kind="PLACE",
            purpose="EXIT",
            fence=1,
            permit_until=sale.created_at + timedelta(seconds=5),
            process="another-host:1:1",
        )

    part = settle(asha, platform_stop(RunLevel.PAUSE_ENTRIES))

    assert (part.is_settled, part.in_flight) == (True, 1)


def test_trouble_in_one_account_does_not_keep_the_others(committed, quick, monkeypatch) -> None:
    asha, bala, chitra = three_tenants()
    make_entry(bala)
    real = platform_stops.end_forbidden

    def fail(stop: PlatformStopRequest) -> None:
        raise OrderMovedError("somebody else")

    monkeypatch.setattr(platform_stops, "end_forbidden", fail)
    stop = platform_stop()
    assert platform_stop_run(stop.pk) is False
    assert [len(effects_of(tenant)) for tenant in (asha, bala, chitra)] == [1, 0, 1]

    monkeypatch.setattr(platform_stops, "end_forbidden", real)
    assert platform_stop_run(stop.pk) is True


def test_late_stop_is_escalated_once_and_its_people_are_told(committed, quick, settings) -> None:
    asha, bala, _chitra = three_tenants()
    lost_permit(bala)
    stop = platform_stop()
    settings.ARUN_STOP_ESCALATION_SECONDS = 0.0

    for _again in range(2):
        assert platform_stop_run(stop.pk) is False

    steps = list(PlatformStopEscalation.objects.order_by("at").values_list("step", "data"))
    assert steps == [
        ("late", {"waiting_for": ["another-host:1:1"], "accounts": 1}),
        ("process_out_of_reach", {"process": "another-host:1:1"}),
    ]

    def told(tenant: TradingTenant) -> int:
        with tenant_scope(tenant.tenant_id):
            return OutboxEvent.objects.filter(kind="PlatformStopLate").count()

    assert [told(asha), told(bala)] == [0, 1]


def test_stop_in_time_is_not_escalated(committed, quick) -> None:
    _asha, bala, _chitra = three_tenants()
    lost_permit(bala)

    platform_stop_run(platform_stop().pk)

    assert not PlatformStopEscalation.objects.exists()


# --- several gateways, and dead ones ----------------------------------------------------------------------------------


def test_gateways_at_the_same_time_acknowledge_once(committed) -> None:
    tenants = three_tenants()
    stop = platform_stop()

    faults = in_threads(*[partial(platform_stop_run, stop.pk)] * 6)

    assert faults == []
    assert answer_to(stop).tenants == 3
    assert [len(effects_of(tenant)) for tenant in tenants] == [1, 1, 1]


def test_drains_without_a_lease_between_them_settle_each_account_once(committed, monkeypatch) -> None:
    """The lease saves work and proves nothing."""
    monkeypatch.setattr(platform_stopping, "platform_drain_claim", lambda **_ids: True)
    monkeypatch.setattr(platform_stopping, "platform_drain_note", lambda **_ids: True)
    tenants = three_tenants()
    for tenant in tenants:
        make_entry(tenant)
    stop = platform_stop()

    faults = in_threads(*[partial(platform_stop_run, stop.pk)] * 4)

    assert faults == []
    assert answer_to(stop).tenants == 3
    assert [len(effects_of(tenant)) for tenant in tenants] == [1, 1, 1]


def test_many_accounts_are_settled_in_threads(committed, monkeypatch) -> None:
    monkeypatch.setattr(platform_stopping, "FEW_ACCOUNTS", 2)
    tenants = [make_trading_tenant(name=f"T{number}") for number in range(7)]
    waiting = [make_entry(tenant) for tenant in tenants]
    stop = platform_stop()

    assert platform_stop_run(stop.pk) is True

    assert answer_to(stop).tenants == 7
    assert [states_of(*pair) for pair in zip(tenants, waiting, strict=True)] == [["DEAD"]] * 7
    assert [len(effects_of(tenant)) for tenant in tenants] == [1] * 7


def test_thread_that_fails_in_an_unforeseen_way_does_not_hang_the_drain(committed, quick, monkeypatch) -> None:
    monkeypatch.setattr(platform_stopping, "FEW_ACCOUNTS", 0)
    three_tenants()
    real = platform_stopping.platform_stop_settle

    def fail(stop: PlatformStopRequest, **facts: object) -> Part:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(platform_stopping, "platform_stop_settle", fail)
    stop = platform_stop()
    assert platform_stop_run(stop.pk) is False

    monkeypatch.setattr(platform_stopping, "platform_stop_settle", real)
    assert platform_stop_run(stop.pk) is True


def test_stop_that_another_gateway_works_on_is_left_to_it(committed) -> None:
    three_tenants()
    stop = platform_stop()
    platform_drain_claim(stop_id=stop.pk, holder=uuid4())

    assert platform_stop_run(stop.pk) is False
    assert list(platform_stops_waiting()) == []

    PlatformStopProgress.objects.update(lease_until=YESTERDAY)
    assert list(platform_stops_waiting()) == [stop.pk]
    assert platform_stop_run(stop.pk) is True


def test_drain_that_lost_its_lease_leaves_the_rest(committed, quick, monkeypatch) -> None:
    _asha, bala, _chitra = three_tenants()
    lost_permit(bala)
    stop = platform_stop()
    real = platform_stopping.platform_drain_note
    notes: list[int] = []

    def note(**facts: object) -> bool:
        notes.append(1)
        PlatformStopProgress.objects.update(lease_by=uuid4())
        return real(**facts)

    monkeypatch.setattr(platform_stopping, "platform_drain_note", note)

    assert platform_stop_run(stop.pk) is False
    assert len(notes) == 1


@pytest.mark.parametrize("point", ["platform_stop.account", "platform_stop.settled"])
def test_gateway_killed_in_the_middle_is_followed_by_another(committed, point) -> None:
    tenants = three_tenants()
    for tenant in tenants:
        make_entry(tenant)
    stop = platform_stop()
    code = f"import django; django.setup(); from apps.trading.gateway.platform_stopping import *; platform_stop_run({stop.pk})"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}

    killed = run_python(
        "-c",
        code,
        environment={**environment, "DJANGO_SETTINGS_MODULE": "arun_saas.settings.test", "ARUN_CRASH_AT": point},
    )

    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert sum(len(effects_of(tenant)) for tenant in tenants) == (1 if point == "platform_stop.account" else 3)
    assert answer_to(stop) is None
    assert list(platform_stops_waiting()) == []  # its lease is not over yet
    wait_for(lambda: list(platform_stops_waiting()) == [stop.pk], seconds=LEASE_SECONDS + 2, what="the lease to end")
    assert platform_stop_run(stop.pk) is True
    assert answer_to(stop).tenants == 3
    assert [len(effects_of(tenant)) for tenant in tenants] == [1, 1, 1]


def test_gateway_finds_the_stop_though_all_of_redis_is_lost(committed) -> None:
    """No wake-up call is sent at all: its own sweeper looks at the requests without an answer."""
    three_tenants()
    stop = platform_stop()
    intake.gateway_open()
    try:
        wait_for(lambda: answer_to(stop) is not None, seconds=8, what="the acknowledgement")
    finally:
        intake.gateway_close()

    assert answer_to(stop).tenants == 3
    assert list(platform_stops_waiting()) == []


def test_queue_out_of_reach_does_not_fail_the_press(committed, monkeypatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise QueueError("no queue")

    monkeypatch.setattr(platform.run_platform_stop, "apply_async", refuse)

    platform.wake(1)


# --- broker sessions --------------------------------------------------------------------------------------------------


class Sessions:
    """Every account's session at the broker."""

    def __init__(self) -> None:
        self.is_alive: dict[UUID, bool] = {}
        self.refuses: set[UUID] = set()

    def of(self, facts: ConnectionFacts) -> "OneSession":
        return OneSession(self, facts.connection_id)


class OneSession:
    def __init__(self, sessions: Sessions, connection_id: UUID) -> None:
        self.sessions, self.connection_id = sessions, connection_id

    def login(self) -> SessionStatus:
        self.sessions.is_alive[self.connection_id] = True
        return SessionStatus.ALIVE

    def logout(self) -> SessionStatus:
        if self.connection_id in self.sessions.refuses:
            raise BrokerUnavailableError("no answer")
        self.sessions.is_alive[self.connection_id] = False
        return SessionStatus.EXPIRED


@pytest.fixture
def sessions(monkeypatch) -> Sessions:
    found = Sessions()
    monkeypatch.setattr(gateway_sessions, "session_for", found.of)
    return found


def session_state(tenant: TradingTenant) -> tuple[str, str]:
    with tenant_scope(tenant.tenant_id):
        found = BrokerConnection.objects.get()
        return found.session_state, found.session_message


def test_revoke_ends_every_session_of_its_scope_before_it_is_acknowledged(committed, quick, sessions) -> None:
    asha, bala, chitra = three_tenants()
    move_to_other_broker(chitra)
    sessions.refuses = {bala.connection_id}
    stop = agreed_level(RunLevel.REVOKE, scope="broker", key="paper")

    assert platform_stop_run(stop.pk) is False
    assert answer_to(stop) is None
    assert sessions.is_alive == {asha.connection_id: False}

    sessions.refuses = set()
    assert platform_stop_run(stop.pk) is True
    assert sessions.is_alive == {asha.connection_id: False, bala.connection_id: False}
    assert session_state(bala) == ("EXPIRED", "Ended by ARUN's operator.")
    assert session_state(chitra)[0] == "UNKNOWN"
    assert answer_to(stop).tenants == 2


def test_lifting_a_revoke_opens_the_sessions_that_no_other_revoke_ended(committed, sessions) -> None:
    asha, bala, _chitra = three_tenants()
    platform_stop_run(agreed_level(RunLevel.REVOKE).pk)
    own = set_level(bala, RunLevel.REVOKE)
    stop_run(tenant_id=bala.tenant_id, stop_id=own.pk)

    platform_stop_run(agreed_level(RunLevel.RUNNING).pk)

    assert (sessions.is_alive[asha.connection_id], sessions.is_alive[bala.connection_id]) == (True, False)


def test_revoke_that_was_never_finished_is_lifted_all_the_same(committed, quick, sessions) -> None:
    asha, bala, _chitra = three_tenants()
    sessions.refuses = {bala.connection_id}
    platform_stop_run(agreed_level(RunLevel.REVOKE).pk)
    agreed_level(RunLevel.PAUSE_ENTRIES)

    platform_stop_run(agreed_level(RunLevel.RUNNING).pk)

    assert sessions.is_alive[asha.connection_id] is True


def test_customers_start_opens_no_session_under_a_revoke_above(committed, sessions) -> None:
    asha, *_others = three_tenants()
    platform_stop_run(agreed_level(RunLevel.REVOKE).pk)

    start = set_level(asha, RunLevel.RUNNING)
    stop_run(tenant_id=asha.tenant_id, stop_id=start.pk)

    assert sessions.is_alive[asha.connection_id] is False


def test_stop_that_lifts_no_revoke_calls_no_broker(committed, monkeypatch) -> None:
    def refuse(facts: ConnectionFacts) -> None:
        raise AssertionError(f"the broker of {facts.connection_id} was called")

    asha, *_others = three_tenants()
    monkeypatch.setattr(gateway_sessions, "session_for", refuse)
    with tenant_scope(asha.tenant_id):
        BrokerConnection.objects.update(session_state="EXPIRED")

    assert platform_stop_run(platform_stop().pk) is True


# --- real transactions ------------------------------------------------------------------------------------------------


def ready(tenant: TradingTenant) -> FakeBroker:
    broker = FakeBroker(fills_at_once=False)
    connection_reconcile(tenant_id=tenant.tenant_id, connection_id=tenant.connection_id, make_reads=broker.reads)
    return broker


@pytest.mark.parametrize(("scope", "key"), SCOPES)
def test_drain_waits_for_a_send_that_is_handing_over_and_refuses_the_next(committed, quick, scope, key) -> None:
    asha, bala, _chitra = three_tenants()
    broker, other = ready(asha), ready(bala)
    intent, refused = make_entry(asha), make_entry(bala)
    at_the_wire, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        at_the_wire.set()
        assert go_on.wait(10)

    broker.on_hand_over = hold

    def run() -> None:
        try:
            order_execute(tenant_id=asha.tenant_id, intent_id=intent.pk, make_broker=broker.broker)
        finally:
            connection.close()

    sender = threading.Thread(target=run)
    sender.start()
    assert at_the_wire.wait(10)
    stop = platform_stop(scope=scope, key=key)  # waits for no lock

    during = platform_stop_run(stop.pk)
    order_execute(tenant_id=bala.tenant_id, intent_id=refused.pk, make_broker=other.broker)
    go_on.set()
    sender.join(10)
    after = platform_stop_run(stop.pk)

    assert (during, after) == (False, True)
    assert (len(broker.placed), len(other.placed)) == (1, 0)
    assert [line["intent"] for line in effects_of(asha)[0].cancelled + effects_of(asha)[0].in_flight] == [
        str(intent.pk)
    ]


def test_no_bytes_leave_any_account_after_an_acknowledgement(committed) -> None:
    """Sends of three accounts and a stop above them race; every hand-over is compared by one monotonic clock."""
    handed_over: list[float] = []
    sends = []
    for name in ("Asha", "Bala", "Chitra"):
        tenant = make_trading_tenant(name=name, symbols=[f"SIM{n}" for n in range(3)])
        broker = ready(tenant)
        broker.on_hand_over = lambda: handed_over.append(time.monotonic())
        for number, instrument_id in enumerate(tenant.instrument_ids):
            intent = make_entry(replace(tenant, instrument_ids=(instrument_id,)), candle=number, quantity=1)
            sends.append((tenant, broker, intent))
    barrier = threading.Barrier(len(sends) + 1)
    acknowledged: list[float] = []

    def send(tenant: TradingTenant, broker: FakeBroker, intent: OrderIntent) -> None:
        barrier.wait(10)
        order_execute(tenant_id=tenant.tenant_id, intent_id=intent.pk, make_broker=broker.broker)

    def halt() -> None:
        barrier.wait(10)
        stop = platform_stop()
        assert platform_stop_run(stop.pk)
        acknowledged.append(time.monotonic())

    faults = in_threads(halt, *[partial(send, *facts) for facts in sends])

    assert faults == []
    assert [at for at in handed_over if at > acknowledged[0]] == []
    for tenant, _broker, intent in sends:
        with tenant_scope(tenant.tenant_id):
            assert OrderIntent.objects.get(pk=intent.pk).state in {"DEAD", "ACCEPTED"}


def test_stop_between_permit_and_hand_over_is_seen_by_the_last_check(committed) -> None:
    asha, *_others = three_tenants()
    broker = ready(asha)
    intent = make_entry(asha)
    broker.on_open = platform_stop

    state = order_execute(tenant_id=asha.tenant_id, intent_id=intent.pk, make_broker=broker.broker)

    assert (state, broker.placed) == (OrderState.DEAD, [])


# --- orders that carry a stop above the tenants -----------------------------------------------------------------------


@pytest.mark.parametrize(("scope", "key"), SCOPES)
def test_lot_is_sold_under_a_flatten_above_the_tenants(asha, broker, execute, reconcile, scope, key) -> None:
    lot_of(asha, execute, reconcile)
    stop = platform_level(RunLevel.FLATTEN, scope=scope, key=key)

    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        order = OrderIntent.objects.get(purpose="FLATTEN")
    assert (order.platform_stop, order.stop, order.carried_stop) == (stop, None, f"platform-{stop.pk}")
    assert execute(asha, order) is OrderState.ACCEPTED


def test_purchase_that_fills_late_is_sold_under_a_flatten_above_the_tenants(asha, broker, execute, reconcile) -> None:
    reconcile(asha)
    broker.fills_at_once = False
    execute(asha, make_entry(asha))
    platform_level(RunLevel.FLATTEN)
    broker.fill("B1", 10)

    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        order = OrderIntent.objects.get(purpose="FLATTEN")
    broker.fills_at_once = True
    assert execute(asha, order) is OrderState.ACCEPTED


def test_sale_of_an_earlier_flatten_does_not_leave_after_its_release(asha, broker, execute, reconcile) -> None:
    lot_of(asha, execute, reconcile)
    platform_level(RunLevel.FLATTEN)
    reconcile(asha)
    with tenant_scope(asha.tenant_id):
        order = OrderIntent.objects.get(purpose="FLATTEN")
    platform_level(RunLevel.RUNNING)

    assert execute(asha, order) is OrderState.DEAD
    assert len(broker.placed) == 1


def test_lot_kept_by_a_later_stop_of_the_bot_gets_no_order_at_all(asha, execute, reconcile) -> None:
    """One that could never leave would be made again with every reading of the books."""
    lot_of(asha, execute, reconcile)
    platform_level(RunLevel.FLATTEN)
    set_level(asha, RunLevel.STOP)

    reconcile(asha)
    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        assert not OrderIntent.objects.filter(purpose="FLATTEN").exists()


def test_customers_flatten_waits_for_the_operators_stop_to_be_lifted(asha, broker, execute, reconcile) -> None:
    lot_of(asha, execute, reconcile)
    platform_level(RunLevel.STOP, scope="broker", key="paper")
    set_level(asha, RunLevel.FLATTEN)
    reconcile(asha)
    with tenant_scope(asha.tenant_id):
        assert not OrderIntent.objects.filter(purpose="FLATTEN").exists()
    platform_level(RunLevel.RUNNING, scope="broker", key="paper")

    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        order = OrderIntent.objects.get(purpose="FLATTEN")
    assert execute(asha, order) is OrderState.ACCEPTED


def test_order_carries_one_stop_at_most(asha, execute, reconcile) -> None:
    lot_of(asha, execute, reconcile)
    above = platform_level(RunLevel.FLATTEN)
    reconcile(asha)
    own = set_level(asha, RunLevel.FLATTEN)

    with tenant_scope(asha.tenant_id):
        order = OrderIntent.objects.get(platform_stop=above)
        with pytest.raises(IntegrityError, match="order_carries_one_stop"), transaction.atomic():
            OrderIntent.objects.filter(pk=order.pk).update(stop=own)


@pytest.mark.parametrize(
    ("by", "approved", "level"), [("staff:1", "staff:1", 0), ("staff:1", "", 3), ("staff:1", "", 4)]
)
def test_database_asks_for_two_people(db, by, approved, level) -> None:
    with pytest.raises(IntegrityError, match="platform_stop_"), transaction.atomic():
        PlatformStopRequest.objects.create(
            scope="platform", level=level, requested_by=by, approved_by=approved, reason="test"
        )
