"""Events that a person must hear of become one notification each, in plain words."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from apps.common.db import tenant_scope
from apps.common.events import Event, handlers_of
from apps.notifications.models import Notification
from apps.trading.models import EntryFreeze
from tests.kit.factories.trading import TradingTenant, make_trading_tenant


@pytest.fixture
def asha(db: None) -> TradingTenant:
    return make_trading_tenant()


def tell(tenant: TradingTenant, kind: str, /, **data: object) -> None:
    event = Event(
        id=7, kind=kind, tenant_id=tenant.tenant_id, seq=1, data=data, created_at=datetime(2026, 11, 23, tzinfo=UTC)
    )
    for handler in handlers_of(kind):
        if "notifications" in handler.__module__:
            handler(event)


def told(tenant: TradingTenant) -> list[tuple[str, str]]:
    with tenant_scope(tenant.tenant_id):
        return list(Notification.objects.values_list("severity", "text"))


@pytest.mark.parametrize("reason", list(EntryFreeze.Reason))
def test_every_freeze_is_told_with_the_name_of_the_share(asha, reason) -> None:
    tell(asha, "EntriesFrozen", reason=str(reason), instrument=str(asha.instrument_id))

    ((_severity, text),) = told(asha)
    assert "SIMTEST" in text


def test_event_that_comes_twice_is_told_once(asha) -> None:
    for _time in range(2):
        tell(asha, "EntriesFrozen", reason="UNKNOWN_ORDER", instrument=str(asha.instrument_id))

    assert [severity for severity, _text in told(asha)] == ["danger"]


def test_ended_session_is_a_danger(asha) -> None:
    tell(asha, "broker_session_changed", state="EXPIRED", connection_id=str(asha.connection_id))

    assert [severity for severity, _text in told(asha)] == ["danger"]


def test_late_stop_is_a_danger_and_its_later_steps_are_not_told_again(asha) -> None:
    tell(asha, "StopEscalated", step="late")
    tell(asha, "StopEscalated", step="process_killed")

    assert [severity for severity, _text in told(asha)] == ["danger"]


def test_lot_that_cannot_be_sold_is_a_danger(asha) -> None:
    tell(asha, "Alarm", kind="UNSOLD", instrument=str(asha.instrument_id))

    assert [severity for severity, _text in told(asha)] == ["danger"]


def test_missing_stop_order_is_told_with_the_name_of_the_share(asha) -> None:
    tell(asha, "ProtectionMissing", instrument=str(asha.instrument_id), position=str(uuid4()), end="DROPPED")

    ((severity, text),) = told(asha)
    assert severity == "warning"
    assert "the stop order for your SIMTEST" in text


def test_recovered_orders_are_told_with_their_number(asha) -> None:
    tell(asha, "OrdersRecovered", connection="x", orders=3)

    ((severity, text),) = told(asha)
    assert severity == "warning"
    assert "3 orders of yours" in text


def tell_operator_stop(
    tenant: TradingTenant, level: int, *, was: int = 0, scope: str = "broker", **counts: int
) -> None:
    facts = {"in_flight": 0, "cancelled": 0, "selling": 0} | counts
    tell(tenant, "PlatformStopSettled", level=level, was=was, scope=scope, key="paper", epoch=9, effect="x", **facts)


def told_in_full(tenant: TradingTenant) -> list[tuple[str, str, str]]:
    with tenant_scope(tenant.tenant_id):
        return list(Notification.objects.values_list("severity", "text", "did"))


@pytest.mark.parametrize(("level", "severity"), [(1, "warning"), (2, "danger"), (3, "danger"), (4, "danger")])
def test_operators_stop_is_told_with_its_place(asha, level, severity) -> None:
    tell_operator_stop(asha, level)

    ((found, text),) = told(asha)
    assert found == severity
    assert text.startswith("ARUN's operator ")
    assert " at Paper trading" in text


def test_operators_stop_says_what_it_did_here(asha) -> None:
    tell_operator_stop(asha, 3, in_flight=1, cancelled=2, selling=1)

    ((_severity, _text, did),) = told_in_full(asha)
    assert (
        "1 order had left before and may still fill. 2 purchases are being cancelled. 1 position is being sold." in did
    )


def test_stop_of_the_whole_platform_names_no_broker(asha) -> None:
    tell_operator_stop(asha, 2, scope="platform")

    assert [text for _severity, text in told(asha)] == ["ARUN's operator stopped trading."]


def test_lifted_stop_is_told_and_nothing_lifted_is_not(asha) -> None:
    tell_operator_stop(asha, 0, was=0)
    assert told(asha) == []

    tell_operator_stop(asha, 0, was=2)
    assert told(asha) == [("info", "ARUN's operator lifted the stop of trading at Paper trading.")]


def test_late_stop_of_the_operator_is_told(asha) -> None:
    tell(asha, "PlatformStopLate", stop=1, scope="platform", key="", level=2)

    assert [severity for severity, _text in told(asha)] == ["warning"]
