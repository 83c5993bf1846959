"""Stops above the tenants: found in every account, proven in every account, and told in one answer."""

from functools import partial

import pytest
from django.db import IntegrityError, connections, transaction

from apps.common.db import tenant_scope
from apps.common.models import WorkItem
from apps.engine.model.choices import OrderState, RunLevel
from apps.trading.models import OrderIntent, PlatformStopRequest, Position
from tests.kit.factories.trading import TradingTenant, make_entry, make_trading_tenant, set_level


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


# --- orders that carry a stop above the tenants -----------------------------------------------------------------------


@pytest.mark.parametrize(("scope", "key"), [("platform", ""), ("broker", "paper"), ("strategy", "rsi_reversion@1")])
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
