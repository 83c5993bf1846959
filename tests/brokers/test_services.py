from decimal import Decimal

import pytest

from apps.brokers import services
from apps.brokers.choices import SessionState, Venue
from apps.brokers.errors import BrokerNotSupportedError
from apps.brokers.models import BrokerConnection
from apps.brokers.port import Holding, InstrumentRef, Position, sellable_quantity
from apps.brokers.registry import capabilities_for, reads_for, session_for
from apps.brokers.selectors import connection_capabilities, connection_facts, connection_list, facts_of
from apps.brokers.writes import writes_for
from apps.common.db import tenant_scope
from apps.common.errors import InvalidInputError, NoTenantScopeError
from apps.common.models import AuditEntry, OutboxEvent
from apps.engine.model.choices import Product
from tests.kit.factories.people import make_tenant

pytestmark = pytest.mark.django_db

ALPHA = InstrumentRef("SIM", "SIMALPHA")


def make_connection(**terms: object) -> BrokerConnection:
    facts: dict[str, object] = {
        "label": "Practice",
        "venue": Venue.SIM,
        "opening_cash": Decimal("100000.00"),
        "actor": "user:1",
    }
    return services.connection_create(**(facts | terms))


def test_new_connection_is_on_paper_and_not_asked_yet():
    tenant = make_tenant()

    with tenant_scope(tenant.id):
        connection = make_connection()

        stored = BrokerConnection.objects.get()
        assert stored == connection
        assert (stored.broker, stored.venue, stored.mode) == ("paper", "SIM", "paper")
        assert (stored.is_simulated, stored.is_paper) == (True, True)
        assert stored.session_state == SessionState.UNKNOWN
        assert AuditEntry.objects.filter(action=services.CONNECTION_ADDED).count() == 1
        assert OutboxEvent.objects.get(kind=services.CONNECTION_ADDED).data == {"connection_id": str(connection.pk)}


def test_two_connections_have_two_accounts():
    with tenant_scope(make_tenant().id):
        first, second = make_connection(), make_connection()

        assert first.account_ref != second.account_ref
        assert len(first.account_ref) <= 40
        assert list(connection_list()) == [first, second]


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"opening_cash": Decimal(0)}, "opening_cash"),
        ({"opening_cash": Decimal("1000000001")}, "opening_cash"),
        ({"label": "  "}, "label"),
    ],
)
def test_impossible_connection_is_refused(terms, field):
    with tenant_scope(make_tenant().id):
        with pytest.raises(InvalidInputError) as raised:
            make_connection(**terms)

        assert raised.value.field == field
        assert BrokerConnection.objects.count() == 0


def test_connection_needs_a_scope():
    with pytest.raises(NoTenantScopeError):
        make_connection()


def test_connection_is_invisible_to_another_tenant():
    with tenant_scope(make_tenant().id):
        connection = make_connection()

    with tenant_scope(make_tenant().id), pytest.raises(BrokerConnection.DoesNotExist):
        connection_facts(connection.pk)


def test_facts_carry_what_an_adapter_needs():
    tenant = make_tenant()
    with tenant_scope(tenant.id):
        connection = make_connection()

        facts = connection_facts(connection.pk)

    assert (facts.connection_id, facts.tenant_id) == (connection.pk, tenant.id)
    assert (facts.broker, facts.venue, facts.account_ref) == ("paper", "SIM", connection.account_ref)
    assert facts.opening_cash == Decimal("100000.00")


def test_measured_bounds_take_the_place_of_the_brokers():
    with tenant_scope(make_tenant().id):
        connection = make_connection()
        known = connection_capabilities(connection)
        connection.late_acceptance_seconds = 0
        measured = connection_capabilities(connection)

    assert (known.late_acceptance_seconds, known.book_lag_seconds) == (20, 5)
    assert (measured.late_acceptance_seconds, measured.book_lag_seconds) == (0, 5)


def test_session_news_is_told_once():
    with tenant_scope(make_tenant().id):
        connection = make_connection()

        told = [
            services.connection_note_session(connection_id=connection.pk, state=state, message="Log in again.")
            for state in (SessionState.ALIVE, SessionState.ALIVE, SessionState.EXPIRED)
        ]

        connection.refresh_from_db()
        events = OutboxEvent.objects.filter(kind=services.SESSION_CHANGED).order_by("id")
        assert told == [True, False, True]
        assert [event.data["state"] for event in events] == ["ALIVE", "EXPIRED"]
        assert (connection.session_state, connection.session_message) == ("EXPIRED", "Log in again.")
        assert connection.session_checked_at is not None


def test_unknown_broker_has_no_adapter():
    with tenant_scope(make_tenant().id):
        connection = make_connection()
        connection.broker = "nobody"
        facts = facts_of(connection)

    for make in (reads_for, session_for, capabilities_for, writes_for):
        with pytest.raises(BrokerNotSupportedError):
            make(facts)


def test_settlement_follows_the_venue():
    with tenant_scope(make_tenant().id):
        simulated, real = make_connection(), make_connection(venue=Venue.NSE)

        assert connection_capabilities(simulated).settlement_days == 0
        assert connection_capabilities(real).settlement_days == 1
        assert not real.is_simulated


def test_sellable_counts_each_share_once():
    bought_today = Position(instrument=ALPHA, product=Product.CNC, net_quantity=5, average_price=None, last_price=None)
    held = Holding(instrument=ALPHA, isin="", settled=10, unsettled_t1=3, used_today=4, pledged=2, average_price=None)
    other = Holding(
        instrument=InstrumentRef("SIM", "SIMBETA"),
        isin="",
        settled=99,
        unsettled_t1=0,
        used_today=0,
        pledged=0,
        average_price=None,
    )

    assert sellable_quantity(ALPHA, [bought_today], [held, other]) == 12
