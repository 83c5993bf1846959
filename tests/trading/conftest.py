"""What the order path's tests share: a tenant with a running bot, and a broker in memory."""

from collections.abc import Callable
from uuid import UUID

import pytest

from apps.common.db import tenant_scope
from apps.engine.model.choices import OrderState
from apps.trading.gateway.execute import order_execute
from apps.trading.models import OrderIntent
from apps.trading.reconciler import connection_reconcile
from tests.kit.broker import FakeBroker
from tests.kit.factories.trading import TradingTenant, make_trading_tenant


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
def asha(db: None) -> TradingTenant:
    """A tenant whose bot runs."""
    return make_trading_tenant()


@pytest.fixture
def reconcile(broker: FakeBroker) -> Callable[[TradingTenant], None]:
    def run(tenant: TradingTenant) -> None:
        connection_reconcile(tenant_id=tenant.tenant_id, connection_id=tenant.connection_id, make_reads=broker.reads)

    return run


@pytest.fixture
def execute(broker: FakeBroker) -> Callable[[TradingTenant, OrderIntent], OrderState | None]:
    def run(tenant: TradingTenant, intent: OrderIntent) -> OrderState | None:
        return order_execute(tenant_id=tenant.tenant_id, intent_id=intent.pk, make_broker=broker.broker)

    return run


@pytest.fixture
def state_of() -> Callable[[TradingTenant, UUID], OrderIntent]:
    def read(tenant: TradingTenant, intent_id: UUID) -> OrderIntent:
        with tenant_scope(tenant.tenant_id):
            return OrderIntent.objects.get(pk=intent_id)

    return read
