"""The first wall, in Python: a tenant's table is out of reach without a scope, in every way the ORM offers."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections, transaction
from django.db.backends.postgresql.base import DatabaseWrapper

from apps.common import audit, events
from apps.common.db import current_tenant_id, tenant_models, tenant_scope
from apps.common.errors import NestedTenantScopeError, NoTenantScopeError
from apps.common.models import AuditEntry, OutboxEvent
from apps.notifications.models import Notification
from apps.tenants.models import Membership
from tests.kit.factories.people import make_people, make_tenant

MODELS = tenant_models()


@pytest.fixture
def pooled():
    """Put wrappers over a pool of one connection in the place of this thread's own, as the web process has them."""
    before, made = connections["default"], []

    def take():
        settings = {**before.settings_dict, "CONN_MAX_AGE": 0}
        settings["OPTIONS"] = {**settings["OPTIONS"], "pool": {"min_size": 1, "max_size": 1, "timeout": 5}}
        connections["default"] = DatabaseWrapper(settings, alias="default")
        made.append(connections["default"])
        return connections["default"]

    yield take
    for wrapper in made:
        wrapper.close()
    made[0].close_pool()
    connections["default"] = before


@pytest.mark.django_db
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_reading_outside_a_scope_raises(model):
    with pytest.raises(NoTenantScopeError):
        model.objects.count()


@pytest.mark.django_db
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_base_manager_outside_a_scope_raises(model):
    with pytest.raises(NoTenantScopeError):
        model._base_manager.count()


@pytest.mark.django_db
def test_writing_outside_a_scope_raises():
    tenant = make_tenant()

    with pytest.raises(NoTenantScopeError):
        Notification(tenant_id=tenant.id, kind="x", text="x", created_at="2026-01-01T00:00Z").save()


@pytest.mark.django_db
def test_queryset_made_in_a_scope_raises_when_read_after_it():
    people = make_people()
    with tenant_scope(people.tenant.id):
        rows = Membership.objects.all()

    with pytest.raises(NoTenantScopeError):
        list(rows)


@pytest.mark.django_db
def test_queryset_made_in_one_scope_is_empty_in_another():
    people = make_people()
    with tenant_scope(people.tenant.id):
        rows = Membership.objects.all()

    with tenant_scope(people.other_tenant.id):
        assert list(rows) == []


@pytest.mark.django_db
def test_raw_sql_outside_a_scope_sees_no_row():
    make_people()

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM tenants_membership")
        assert cursor.fetchone() == (0,)


@pytest.mark.django_db
def test_scope_shows_its_own_tenant_alone():
    people = make_people()

    with tenant_scope(people.other_tenant.id):
        assert [row.user_id for row in Membership.objects.all()] == [people.stranger.pk]


@pytest.mark.django_db
def test_scope_of_another_tenant_inside_a_scope_raises():
    people = make_people()

    with (
        tenant_scope(people.tenant.id),
        pytest.raises(NestedTenantScopeError),
        tenant_scope(people.other_tenant.id),
    ):
        pass


@pytest.mark.django_db
def test_scope_of_the_same_tenant_inside_a_scope_joins_it():
    people = make_people()

    with tenant_scope(people.tenant.id):
        with tenant_scope(people.tenant.id):
            assert Membership.objects.count() == 3
        assert Membership.objects.count() == 3


@pytest.mark.django_db
def test_scope_end_takes_the_tenant_back_inside_an_outer_transaction():
    people = make_people()

    with transaction.atomic():
        with tenant_scope(people.tenant.id):
            pass
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM tenants_membership")
            assert cursor.fetchone() == (0,)
            cursor.execute("SELECT current_setting('app.tenant', true)")
            assert cursor.fetchone() == ("",)


def test_thread_hop_has_no_scope(committed_db):
    tenant = make_tenant()

    def hop() -> tuple[object, str]:
        try:
            with pytest.raises(NoTenantScopeError):
                Membership.objects.count()
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM tenants_membership")
                return current_tenant_id(), cursor.fetchone()[0]
        finally:
            connections.close_all()

    with tenant_scope(tenant.id), ThreadPoolExecutor(1) as pool:
        assert pool.submit(hop).result() == (None, 0)


def test_connection_after_a_scope_carries_no_tenant(committed_db):
    tenant = make_tenant()
    with tenant_scope(tenant.id):
        pass

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('app.tenant', true)")
        assert cursor.fetchone()[0] in {None, ""}


def test_pooled_connection_carries_no_tenant_to_its_next_user(committed_db, pooled):
    tenant = make_tenant()

    def backend() -> tuple[int, object]:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid(), current_setting('app.tenant', true)")
            return cursor.fetchone()

    first = pooled()
    with tenant_scope(tenant.id):
        pid, inside = backend()
    first.close()
    pooled()
    pid_after, after = backend()

    assert inside == str(tenant.id)
    assert pid_after == pid
    assert after in {None, ""}
    with pytest.raises(NoTenantScopeError):
        Membership.objects.count()


def test_failed_scope_rolls_back_and_forgets_its_tenant(committed_db):
    tenant = make_tenant()

    def fail_halfway():
        with tenant_scope(tenant.id):
            audit.record("x", actor="process:tests")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()

    assert current_tenant_id() is None
    with tenant_scope(tenant.id):
        assert AuditEntry.objects.filter(action="x").count() == 0


def test_support_role_in_a_scope_reads_and_cannot_write(committed_db):
    people = make_people()

    with tenant_scope(people.tenant.id, using="support"):
        assert Membership.objects.using("support").count() == 3
        with pytest.raises(Exception, match="read-only transaction"), transaction.atomic(using="support"):
            Membership.objects.using("support").update(role="viewer")


def test_support_role_outside_a_scope_raises(committed_db):
    with pytest.raises(NoTenantScopeError):
        Notification._base_manager.using("support").count()


@pytest.mark.django_db
def test_event_published_outside_its_scope_raises():
    people = make_people()

    with pytest.raises(NoTenantScopeError):
        events.publish("X", tenant_id=people.tenant.id)
    with tenant_scope(people.other_tenant.id), pytest.raises(NoTenantScopeError):
        events.publish("X", tenant_id=people.tenant.id)

    with tenant_scope(people.tenant.id):
        assert OutboxEvent.objects.filter(kind="X").count() == 0
