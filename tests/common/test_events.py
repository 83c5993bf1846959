from decimal import Decimal

import pytest

from apps.common import events
from apps.common.db import tenant_scope
from apps.common.models import OutboxEvent
from tests.kit.factories.people import make_tenant

pytestmark = pytest.mark.django_db


def test_publish_writes_a_row_in_the_callers_transaction():
    tenant = make_tenant()

    with tenant_scope(tenant.id):
        events.publish("OrderFilled", tenant_id=tenant.id, data={"order_id": tenant.id, "price": Decimal("1.50")})
        row = OutboxEvent.objects.get(kind="OrderFilled")

    assert row.data == {"order_id": str(tenant.id), "price": "1.50"}
    assert (row.seq, row.published_at) == (None, None)


def test_publish_of_more_than_small_facts_is_refused():
    tenant = make_tenant()

    with tenant_scope(tenant.id):
        with pytest.raises(events.EventTooLargeError):
            events.publish("X", tenant_id=tenant.id, data={"text": "x" * 5000})
        assert OutboxEvent.objects.filter(kind="X").count() == 0


def test_subscribe_twice_runs_a_handler_once():
    def handler(event):
        raise AssertionError

    events.subscribe("TestOnly", handler)
    events.subscribe("TestOnly", handler)

    assert events.handlers_of("TestOnly") == (handler,)
    events._handlers.pop("TestOnly")


def test_handlers_of_an_unknown_kind_are_none():
    assert events.handlers_of("Nothing") == ()
