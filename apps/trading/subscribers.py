"""What follows an event: somebody is woken. The sweeper would find the same work a second later."""

from apps.brokers.services import TEST_REQUESTED
from apps.common import events
from apps.engine.model.choices import Side
from apps.trading.tasks import orders


def wire() -> None:
    """Subscribe; called once when the app is ready."""
    events.subscribe("IntentRecorded", _send_order)
    events.subscribe("CommandRecorded", _send_order)
    events.subscribe("OrderMoved", _settle_order)
    events.subscribe("StopRequested", _run_stop)
    events.subscribe(TEST_REQUESTED, _test_connection)


def _send_order(event: events.Event) -> None:
    is_purchase = event.kind == "IntentRecorded" and event.data["side"] == Side.BUY
    queue = orders.ORDERS["queue"] if is_purchase else orders.EXITS
    orders.execute_order.apply_async(args=[str(event.tenant_id), str(event.data["intent"])], queue=queue)


def _settle_order(event: events.Event) -> None:
    if event.data["state"] in {"ACCEPTED", "PARTIAL", "UNKNOWN"}:
        orders.reconcile_connection.delay(str(event.tenant_id), str(event.data["connection"]))


def _run_stop(event: events.Event) -> None:
    orders.run_stop.delay(str(event.tenant_id), str(event.data["stop"]))


def _test_connection(event: events.Event) -> None:
    # The one call that no sweeper repeats: the page gives up after its seconds and offers another test.
    named = (event.tenant_id, event.data["connection_id"], event.data["test_id"])
    orders.test_connection.delay(*map(str, named))
