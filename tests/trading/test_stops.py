"""Stop: in force from its commit, acknowledged only when proven, honest about what was on its way."""

import threading
import time
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection

from apps.common.db import tenant_scope
from apps.engine.execution.run_control import ScopeLevel, refusing_scope
from apps.engine.model.choices import Observation, OrderState, Purpose, RunLevel
from apps.trading.gateway.execute import command_execute, order_execute
from apps.trading.gateway.permit import lock_run_control
from apps.trading.gateway.stopping import stop_run
from apps.trading.models import (
    Bot,
    OrderAttempt,
    OrderCommand,
    OrderIntent,
    PlatformStopRequest,
    Position,
    StopAcknowledgement,
    StopEscalation,
    StopRequest,
)
from apps.trading.process import identity
from apps.trading.reconciler import connection_reconcile
from apps.trading.services.stops import stop_drain
from tests.kit.broker import FakeBroker, Weather
from tests.kit.factories.trading import make_entry, make_exit, make_trading_tenant, set_level


def acknowledgement(tenant, stop) -> StopAcknowledgement | None:
    with tenant_scope(tenant.tenant_id):
        return StopAcknowledgement.objects.filter(stop=stop).first()


# --- the rule ---------------------------------------------------------------------------------------------------------


def level_of(
    level: RunLevel, epoch: int = 1, *, scope: str = "bot", stop_id: str | None = None, is_above: bool = False
) -> ScopeLevel:
    return ScopeLevel(scope=scope, level=level, epoch=epoch, stop_id=stop_id, is_above=is_above)


@pytest.mark.parametrize(
    ("level", "entry", "exit_", "cancel"),
    [
        (RunLevel.RUNNING, True, True, True),
        (RunLevel.PAUSE_ENTRIES, False, True, True),
        (RunLevel.STOP, False, False, True),
        (RunLevel.FLATTEN, False, False, True),
        (RunLevel.REVOKE, False, False, False),
    ],
)
def test_each_level_lets_leave_exactly_its_purposes(level, entry, exit_, cancel) -> None:
    scopes = [level_of(level)]

    assert (refusing_scope(Purpose.ENTRY, scopes) is None) is entry
    assert (refusing_scope(Purpose.SIP, scopes) is None) is entry
    assert (refusing_scope(Purpose.EXIT, scopes) is None) is exit_
    assert (refusing_scope(Purpose.MANUAL, scopes) is None) is exit_
    assert (refusing_scope(Purpose.ENTRY, scopes, is_cancel=True) is None) is cancel


def test_flattening_order_leaves_only_under_the_stop_it_carries() -> None:
    scopes = [level_of(RunLevel.FLATTEN, 5, stop_id="s5")]

    assert refusing_scope(Purpose.FLATTEN, scopes, stop_id="s5") is None
    assert refusing_scope(Purpose.FLATTEN, scopes, stop_id="s4") is not None
    assert refusing_scope(Purpose.FLATTEN, scopes) is not None


def test_later_stop_of_another_scope_holds_a_flattening_order_back() -> None:
    flatten = level_of(RunLevel.FLATTEN, 5, scope="tenant", stop_id="s5")

    earlier = [flatten, level_of(RunLevel.STOP, 4)]
    later = [flatten, level_of(RunLevel.STOP, 6)]

    assert refusing_scope(Purpose.FLATTEN, earlier, stop_id="s5") is None
    assert refusing_scope(Purpose.FLATTEN, later, stop_id="s5") is not None


@pytest.mark.parametrize(("above", "may_leave"), [(RunLevel.PAUSE_ENTRIES, True), (RunLevel.STOP, False)])
def test_customers_flattening_does_not_pass_an_operators_stop(above, may_leave) -> None:
    """Though it comes later: what the operator stopped, only the operator lets go."""
    scopes = [
        level_of(above, 4, scope="broker", stop_id="platform-1", is_above=True),
        level_of(RunLevel.FLATTEN, 5, stop_id="s5"),
    ]

    assert (refusing_scope(Purpose.FLATTEN, scopes, stop_id="s5") is None) is may_leave


def test_customers_flattening_beside_an_operators_goes_on() -> None:
    scopes = [
        level_of(RunLevel.FLATTEN, 4, scope="platform", stop_id="platform-1", is_above=True),
        level_of(RunLevel.FLATTEN, 5, stop_id="s5"),
    ]

    assert refusing_scope(Purpose.FLATTEN, scopes, stop_id="s5") is None


def test_operators_flattening_passes_every_earlier_stop() -> None:
    scopes = [
        level_of(RunLevel.STOP, 3, scope="platform", stop_id="platform-1", is_above=True),
        level_of(RunLevel.FLATTEN, 4, scope="broker", stop_id="platform-2", is_above=True),
        level_of(RunLevel.STOP, 2, stop_id="s2"),
    ]

    assert refusing_scope(Purpose.FLATTEN, scopes, stop_id="platform-2") is None


def test_no_scope_known_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one scope"):
        refusing_scope(Purpose.EXIT, [])


# --- requests ---------------------------------------------------------------------------------------------------------


def test_new_bot_is_stopped_until_it_is_started(db) -> None:
    tenant = make_trading_tenant(running=False)

    with tenant_scope(tenant.tenant_id):
        assert StopRequest.objects.get().level == RunLevel.STOP


def test_same_button_pressed_twice_is_one_request(asha) -> None:
    request_id = uuid4()
    from apps.trading.models import RunControl
    from apps.trading.services.stops import stop_request

    made = []
    for _press in range(2):
        with tenant_scope(asha.tenant_id):
            made.append(
                stop_request(
                    scope=RunControl.Scope.BOT,
                    scope_id=asha.bot_id,
                    level=RunLevel.STOP,
                    request_id=request_id,
                    actor="user:1",
                )
            )

    assert made[0].pk == made[1].pk


def test_strangers_bot_cannot_be_stopped(asha) -> None:
    from apps.trading.errors import StopRefusedError
    from apps.trading.models import RunControl
    from apps.trading.services.stops import stop_request

    stranger = make_trading_tenant(name="Bala")

    with tenant_scope(stranger.tenant_id), pytest.raises(StopRefusedError):
        stop_request(
            scope=RunControl.Scope.BOT,
            scope_id=asha.bot_id,
            level=RunLevel.STOP,
            request_id=uuid4(),
            actor="user:1",
        )


@pytest.mark.parametrize(("scope", "key"), [("platform", ""), ("broker", "paper"), ("strategy", "rsi_reversion@1")])
def test_operators_switch_stops_every_tenant(asha, broker, execute, reconcile, state_of, scope, key) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    PlatformStopRequest.objects.create(scope=scope, key=key, level=RunLevel.STOP, requested_by="staff:1", reason="test")

    execute(asha, intent)

    assert (state_of(asha, intent.pk).state_reason, broker.log) == ("stopped", [])


# --- drains -----------------------------------------------------------------------------------------------------------


def test_idle_stop_is_acknowledged_with_an_empty_list(asha) -> None:
    stop = set_level(asha, RunLevel.STOP)

    assert stop_run(tenant_id=asha.tenant_id, stop_id=stop.pk) is True

    assert acknowledgement(asha, stop).in_flight == []


def test_draining_twice_acknowledges_once(asha) -> None:
    stop = set_level(asha, RunLevel.STOP)

    stop_run(tenant_id=asha.tenant_id, stop_id=stop.pk)
    stop_run(tenant_id=asha.tenant_id, stop_id=stop.pk)

    with tenant_scope(asha.tenant_id):
        assert StopAcknowledgement.objects.filter(stop=stop).count() == 1


def test_order_that_had_left_is_named(asha, broker, execute, reconcile) -> None:
    """The stop comes while the broker's answer is awaited."""
    reconcile(asha)
    intent = make_entry(asha)
    seen = {}

    def stop_now(request: object) -> None:
        seen["stop"] = set_level(asha, RunLevel.STOP)
        stop_run(tenant_id=asha.tenant_id, stop_id=seen["stop"].pk)

    class Answering:
        """A channel that is asked for its answer after the stop."""

        def __init__(self, channel: object) -> None:
            self.channel = channel

        def open(self) -> None:
            self.channel.open()

        def hand_over(self, request: object) -> None:
            self.channel.hand_over(request)

        def answer(self, *, deadline_seconds: float) -> object:
            stop_now(None)
            return self.channel.answer(deadline_seconds=deadline_seconds)

        def close(self) -> None:
            self.channel.close()

    class Writes:
        def channel(self) -> Answering:
            from tests.kit.broker import FakeChannel

            return Answering(FakeChannel(broker))

    from dataclasses import replace

    order_execute(
        tenant_id=asha.tenant_id,
        intent_id=intent.pk,
        make_broker=lambda facts: replace(broker.broker(facts), writes=Writes()),
    )

    lines = acknowledgement(asha, seen["stop"]).in_flight
    assert [(line["intent"], line["sent"]) for line in lines] == [(str(intent.pk), True)]


def test_waiting_orders_die_with_the_stop(asha, state_of) -> None:
    intent = make_entry(asha)
    stop = set_level(asha, RunLevel.STOP)

    stop_run(tenant_id=asha.tenant_id, stop_id=stop.pk)

    assert (state_of(asha, intent.pk).state, state_of(asha, intent.pk).state_reason) == (OrderState.DEAD, "stopped")


def test_pause_lets_a_waiting_exit_live(asha, broker, execute, reconcile, state_of) -> None:
    reconcile(asha)
    execute(asha, make_entry(asha))
    reconcile(asha)
    with tenant_scope(asha.tenant_id):
        position = Position.objects.get()
    order = make_exit(asha, position, quantity=10)
    stop = set_level(asha, RunLevel.PAUSE_ENTRIES)
    stop_run(tenant_id=asha.tenant_id, stop_id=stop.pk)

    assert execute(asha, order) is OrderState.ACCEPTED


def test_stop_cancels_working_entries(asha, broker, execute, reconcile, state_of) -> None:
    broker.fills_at_once = False
    reconcile(asha)
    intent = make_entry(asha)
    execute(asha, intent)
    reconcile(asha)
    stop = set_level(asha, RunLevel.STOP)
    stop_run(tenant_id=asha.tenant_id, stop_id=stop.pk)
    with tenant_scope(asha.tenant_id):
        command = OrderCommand.objects.get()
    assert [line["intent"] for line in acknowledgement(asha, stop).cancelled] == [str(intent.pk)]

    command_execute(tenant_id=asha.tenant_id, command_id=command.pk, make_broker=broker.broker)
    reconcile(asha)

    assert state_of(asha, intent.pk).state == OrderState.CANCELLED


def test_entry_that_shows_up_after_the_stop_is_cancelled(asha, broker, execute, reconcile) -> None:
    broker.fills_at_once = False
    reconcile(asha)
    intent = make_entry(asha)
    broker.weather = Weather.REPLY_LOST
    execute(asha, intent)
    stop = set_level(asha, RunLevel.STOP)
    stop_run(tenant_id=asha.tenant_id, stop_id=stop.pk)

    reconcile(asha)
    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        assert OrderCommand.objects.filter(intent=intent, kind="CANCEL").count() == 1


def test_flatten_sells_each_lot_under_its_stop(asha, broker, execute, reconcile, state_of) -> None:
    reconcile(asha)
    execute(asha, make_entry(asha))
    reconcile(asha)
    stop = set_level(asha, RunLevel.FLATTEN)
    stop_run(tenant_id=asha.tenant_id, stop_id=stop.pk)
    with tenant_scope(asha.tenant_id):
        order = OrderIntent.objects.get(purpose="FLATTEN")
    assert acknowledgement(asha, stop).flattening[0]["intent"] == str(order.pk)

    assert execute(asha, order) is OrderState.ACCEPTED
    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        assert Position.objects.get().quantity == 0
    assert [request.quantity for request in broker.placed] == [10, 10]


def test_flatten_tries_again_after_a_refusal(asha, broker, execute, reconcile) -> None:
    reconcile(asha)
    execute(asha, make_entry(asha))
    reconcile(asha)
    stop = set_level(asha, RunLevel.FLATTEN)
    stop_run(tenant_id=asha.tenant_id, stop_id=stop.pk)
    with tenant_scope(asha.tenant_id):
        first = OrderIntent.objects.get(purpose="FLATTEN")
    broker.weather = Weather.REFUSED
    execute(asha, first)
    broker.weather = Weather.FINE
    time.sleep(0.6)  # the second try waits half a second

    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        second = OrderIntent.objects.get(purpose="FLATTEN", state="NEW")
    assert execute(asha, second) is OrderState.ACCEPTED


def test_lot_whose_working_exit_ends_unsold_is_flattened_after_all(asha, broker, execute, reconcile) -> None:
    reconcile(asha)
    execute(asha, make_entry(asha))
    reconcile(asha)
    broker.fills_at_once = False
    with tenant_scope(asha.tenant_id):
        position = Position.objects.get()
    execute(asha, make_exit(asha, position, quantity=10))
    stop = set_level(asha, RunLevel.FLATTEN)
    stop_run(tenant_id=asha.tenant_id, stop_id=stop.pk)
    with tenant_scope(asha.tenant_id):
        assert not OrderIntent.objects.filter(purpose="FLATTEN").exists()
    broker.end("B2", Observation.CANCELLED)

    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        assert OrderIntent.objects.filter(purpose="FLATTEN", state="NEW").count() == 1


def test_flatten_of_the_bot_after_one_of_the_account_sells_late_lots(asha, broker, execute, reconcile) -> None:
    broker.fills_at_once = False
    reconcile(asha)
    execute(asha, make_entry(asha))
    for scope in ("tenant", "bot"):
        stop = set_level(asha, RunLevel.FLATTEN, scope=scope)
        stop_run(tenant_id=asha.tenant_id, stop_id=stop.pk)
    broker.fill("B1", 10)
    reconcile(asha)
    with tenant_scope(asha.tenant_id):
        order = OrderIntent.objects.get(purpose="FLATTEN")
    broker.fills_at_once = True

    assert execute(asha, order) is OrderState.ACCEPTED


@pytest.mark.usefixtures("committed_db")
def test_drains_at_the_same_time_acknowledge_once() -> None:
    tenant = make_trading_tenant()
    stop = set_level(tenant, RunLevel.STOP)
    faults: list[BaseException] = []

    def run() -> None:
        try:
            stop_run(tenant_id=tenant.tenant_id, stop_id=stop.pk)
        except BaseException as error:  # noqa: BLE001 - the thread's fault is the test's finding
            faults.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _thread in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert faults == []
    assert acknowledgement(tenant, stop) is not None


def test_purchase_that_fills_during_a_flatten_is_sold_too(asha, broker, execute, reconcile) -> None:
    reconcile(asha)
    broker.fills_at_once = False
    intent = make_entry(asha)
    execute(asha, intent)
    stop = set_level(asha, RunLevel.FLATTEN)
    stop_run(tenant_id=asha.tenant_id, stop_id=stop.pk)
    broker.fill("B1", 10)

    reconcile(asha)

    with tenant_scope(asha.tenant_id):
        order = OrderIntent.objects.get(purpose="FLATTEN")
    broker.fills_at_once = True
    assert execute(asha, order) is OrderState.ACCEPTED


def test_revoke_lets_not_even_a_cancel_leave(asha, broker, execute, reconcile) -> None:
    from apps.trading.services.intents import command_record

    broker.fills_at_once = False
    reconcile(asha)
    intent = make_entry(asha)
    execute(asha, intent)
    with tenant_scope(asha.tenant_id):
        command = command_record(
            intent=OrderIntent.objects.get(pk=intent.pk), kind=OrderCommand.Kind.CANCEL, requested_by="user:1"
        )
    set_level(asha, RunLevel.REVOKE)

    state = command_execute(tenant_id=asha.tenant_id, command_id=command.pk, make_broker=broker.broker)

    assert (state, len(broker.log)) == ("DEAD", 1)


def test_start_after_stop_supersedes_its_acknowledgement(asha) -> None:
    stop = set_level(asha, RunLevel.STOP)
    start = set_level(asha, RunLevel.RUNNING)

    stop_run(tenant_id=asha.tenant_id, stop_id=stop.pk)

    assert acknowledgement(asha, stop).superseded_by == start.epoch


def test_permit_of_a_lost_process_is_waited_for(asha, broker, execute, reconcile) -> None:
    """An attempt without a recorded hand-over, whose process cannot be seen, is no proof of anything."""
    reconcile(asha)
    intent = make_entry(asha)
    with tenant_scope(asha.tenant_id):
        attempt = OrderAttempt.objects.create(
            intent=intent,
            kind="PLACE",
            purpose="ENTRY",
            fence=1,
            permit_until=intent.created_at + timedelta(seconds=5),
            process="another-host:1:1",
        )
    stop = set_level(asha, RunLevel.STOP)
    with tenant_scope(asha.tenant_id):
        result = stop_drain(stop.pk)
    assert (result.is_drained, result.waiting_for) == (False, ("another-host:1:1",))

    with tenant_scope(asha.tenant_id):
        OrderAttempt.objects.filter(pk=attempt.pk).update(process=f"{identity().rsplit(':', 2)[0]}:4194303:1")
        assert stop_drain(stop.pk).is_drained is True


def test_unseen_sender_is_waited_for_after_its_order_was_declared_unknown(asha, execute) -> None:
    intent = make_entry(asha)
    with tenant_scope(asha.tenant_id):
        OrderIntent.objects.filter(pk=intent.pk).update(
            state="SENDING", fence=1, lease_until=intent.created_at - timedelta(seconds=1)
        )
        OrderAttempt.objects.create(
            intent=intent,
            kind="PLACE",
            purpose="ENTRY",
            fence=1,
            permit_until=intent.created_at,
            process="another-host:1:1",
        )
    assert execute(asha, intent) is OrderState.UNKNOWN
    stop = set_level(asha, RunLevel.STOP)

    with tenant_scope(asha.tenant_id):
        assert stop_drain(stop.pk).waiting_for == ("another-host:1:1",)


def test_order_of_unknown_outcome_is_in_the_list(asha, broker, execute, reconcile) -> None:
    reconcile(asha)
    intent = make_entry(asha)
    broker.weather = Weather.REQUEST_LOST
    execute(asha, intent)
    stop = set_level(asha, RunLevel.STOP)

    stop_run(tenant_id=asha.tenant_id, stop_id=stop.pk)

    assert [line["intent"] for line in acknowledgement(asha, stop).in_flight] == [str(intent.pk)]


def test_late_stop_is_escalated(asha, settings) -> None:
    intent = make_entry(asha)
    with tenant_scope(asha.tenant_id):
        OrderAttempt.objects.create(
            intent=intent,
            kind="PLACE",
            purpose="ENTRY",
            fence=1,
            permit_until=intent.created_at + timedelta(seconds=5),
            process="another-host:1:1",
        )
    stop = set_level(asha, RunLevel.STOP)
    settings.ARUN_STOP_ESCALATION_SECONDS = 0.0
    from apps.trading.gateway import stopping

    stopping_seconds, stopping.DRAIN_SECONDS = stopping.DRAIN_SECONDS, 0.05
    try:
        assert stop_run(tenant_id=asha.tenant_id, stop_id=stop.pk) is False
    finally:
        stopping.DRAIN_SECONDS = stopping_seconds

    with tenant_scope(asha.tenant_id):
        steps = list(StopEscalation.objects.order_by("at").values_list("step", flat=True))
    assert steps == ["late", "process_out_of_reach"]


# --- real transactions ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("committed_db")
def test_drain_waits_for_a_send_that_is_handing_over_and_refuses_the_next() -> None:
    tenant = make_trading_tenant()
    broker = FakeBroker(fills_at_once=False)
    connection_reconcile(tenant_id=tenant.tenant_id, connection_id=tenant.connection_id, make_reads=broker.reads)
    intent = make_entry(tenant)
    at_the_wire, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        at_the_wire.set()
        assert go_on.wait(10)

    broker.on_hand_over = hold

    def run() -> None:
        try:
            order_execute(tenant_id=tenant.tenant_id, intent_id=intent.pk, make_broker=broker.broker)
        finally:
            connection.close()

    sender = threading.Thread(target=run)
    sender.start()
    assert at_the_wire.wait(10)
    stop = set_level(tenant, RunLevel.STOP)  # waits for no lock

    with tenant_scope(tenant.tenant_id):
        during = stop_drain(stop.pk)
    go_on.set()
    sender.join(10)
    stop_run(tenant_id=tenant.tenant_id, stop_id=stop.pk)
    broker.on_hand_over = None
    with tenant_scope(tenant.tenant_id):
        OrderIntent.objects.filter(pk=intent.pk).update(blocks=False)
    second = make_entry(tenant, candle=2)
    order_execute(tenant_id=tenant.tenant_id, intent_id=second.pk, make_broker=broker.broker)

    assert during.is_drained is False
    assert acknowledgement(tenant, stop) is not None
    assert len(broker.placed) == 1


@pytest.mark.usefixtures("committed_db")
def test_no_bytes_leave_after_an_acknowledgement() -> None:
    """Sends and stops race; every hand-over is compared with the acknowledgements by one monotonic clock."""
    tenant = make_trading_tenant(symbols=[f"SIM{n}" for n in range(6)])
    broker = FakeBroker(fills_at_once=False)
    connection_reconcile(tenant_id=tenant.tenant_id, connection_id=tenant.connection_id, make_reads=broker.reads)
    handed_over: list[float] = []
    broker.on_hand_over = lambda: handed_over.append(time.monotonic())
    intents = []
    for number, instrument_id in enumerate(tenant.instrument_ids):
        from dataclasses import replace

        intents.append(make_entry(replace(tenant, instrument_ids=(instrument_id,)), candle=number, quantity=1))
    barrier = threading.Barrier(len(intents) + 1)

    def run(intent: OrderIntent) -> None:
        try:
            barrier.wait(10)
            order_execute(tenant_id=tenant.tenant_id, intent_id=intent.pk, make_broker=broker.broker)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(intent,)) for intent in intents]
    for thread in threads:
        thread.start()
    barrier.wait(10)
    stop = set_level(tenant, RunLevel.STOP)
    stop_run(tenant_id=tenant.tenant_id, stop_id=stop.pk)
    acknowledged = time.monotonic()
    for thread in threads:
        thread.join(20)

    assert [at for at in handed_over if at > acknowledged] == []
    with tenant_scope(tenant.tenant_id):
        states = set(OrderIntent.objects.values_list("state", flat=True))
    assert states <= {"DEAD", "ACCEPTED", "NEW"}


@pytest.mark.usefixtures("committed_db")
def test_send_holds_the_run_control_rows_shared() -> None:
    """Two sends do not wait for each other."""
    tenant = make_trading_tenant()
    entered = threading.Event()

    def rival() -> None:
        try:
            with tenant_scope(tenant.tenant_id):
                lock_run_control(Bot.objects.select_related("connection").get())
                entered.set()
        finally:
            connection.close()

    with tenant_scope(tenant.tenant_id):
        lock_run_control(Bot.objects.select_related("connection").get())
        thread = threading.Thread(target=rival)
        thread.start()
        assert entered.wait(5)
    thread.join(5)
