from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from apps.common.db import current_tenant_id, tenant_scope
from apps.common.models import AuditEntry, OutboxEvent
from apps.tenants import services
from apps.tenants.errors import (
    AlreadyMemberError,
    LastOwnerError,
    NoMembershipError,
    RoleForbidsError,
    TooManyTenantsError,
)
from apps.tenants.models import Acknowledgement, Membership, RouteKey, Tenant
from apps.tenants.roles import ALLOWED, Action, can, require_role
from apps.tenants.selectors import (
    access_membership,
    has_acknowledged,
    membership_for,
    memberships_of_user,
    tenant_for_route,
)
from tests.kit.factories.people import make_member, make_people, make_tenant, make_user


def _membership(tenant, user):
    return Membership.objects.get(user=user)


@pytest.mark.django_db
def test_tenant_create_makes_the_person_its_owner_and_tells():
    person = make_user()

    tenant = services.tenant_create(user_id=person.pk, name="  Rao  ")

    assert current_tenant_id() is None
    with tenant_scope(tenant.id):
        assert Tenant.objects.get().name == "Rao"
        assert [(row.user_id, row.role) for row in Membership.objects.all()] == [(person.pk, "owner")]
        assert [(row.action, row.actor) for row in AuditEntry.objects.all()] == [
            ("tenant.created", f"user:{person.pk}")
        ]
        event = OutboxEvent.objects.get()
    assert (event.kind, event.data) == ("TenantCreated", {"owner_id": str(person.pk), "is_demo": False})


@pytest.mark.django_db
def test_tenant_create_beyond_the_limit_is_refused():
    person = make_user()
    for number in range(5):
        services.tenant_create(user_id=person.pk, name=f"T{number}")

    with pytest.raises(TooManyTenantsError):
        services.tenant_create(user_id=person.pk, name="T6")

    assert len(memberships_of_user(person.pk)) == 5


@pytest.mark.django_db
def test_memberships_of_user_are_theirs_alone():
    people = make_people()

    found = memberships_of_user(people.viewer.pk)

    assert [(row.tenant_id, row.tenant_name, row.role) for row in found] == [
        (people.tenant.id, "Sharma family", "viewer")
    ]


@pytest.mark.django_db
def test_memberships_of_user_leave_out_closed_tenants():
    people = make_people()
    with tenant_scope(people.tenant.id):
        Tenant.objects.update(status=Tenant.Status.CLOSED)

    assert memberships_of_user(people.owner.pk) == ()
    with tenant_scope(people.tenant.id):
        assert membership_for(people.owner.pk) is None


@pytest.mark.django_db
def test_memberships_of_user_leave_no_door_open():
    people = make_people()
    memberships_of_user(people.owner.pk)

    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM tenants_membership), (SELECT count(*) FROM tenants_tenant)")
        assert cursor.fetchone() == (0, 0)


@pytest.mark.django_db
def test_access_membership_of_a_stranger_raises():
    people = make_people()

    with tenant_scope(people.tenant.id), pytest.raises(NoMembershipError):
        access_membership(people.stranger.pk)


@pytest.mark.django_db
def test_membership_add_twice_is_refused_and_changes_nothing():
    people = make_people()

    with tenant_scope(people.tenant.id):
        with pytest.raises(AlreadyMemberError):
            services.membership_add(user_id=people.viewer.pk, role="owner", actor="user:1")
        assert _membership(people.tenant, people.viewer).role == "viewer"
        assert AuditEntry.objects.filter(action="membership.added").count() == 2


@pytest.mark.django_db
def test_membership_change_role_is_audited_and_told():
    people = make_people()

    with tenant_scope(people.tenant.id):
        services.membership_change_role(
            membership=_membership(people.tenant, people.viewer), role="manager", actor="user:1"
        )
        assert _membership(people.tenant, people.viewer).role == "manager"
        assert AuditEntry.objects.get(action="membership.role_changed").data["role"] == "manager"
        assert (
            OutboxEvent.objects.filter(kind="MembershipChanged").latest("id").data["action"]
            == "membership.role_changed"
        )


CHANGES = {
    "remove": lambda owner: services.membership_remove(membership=owner, actor="user:1"),
    "demote": lambda owner: services.membership_change_role(membership=owner, role="viewer", actor="user:1"),
}


@pytest.mark.django_db
@pytest.mark.parametrize("change", CHANGES)
def test_last_owner_stays(change):
    people = make_people()

    with tenant_scope(people.tenant.id):
        owner = _membership(people.tenant, people.owner)
        with pytest.raises(LastOwnerError):
            CHANGES[change](owner)
        assert _membership(people.tenant, people.owner).role == "owner"


def test_two_owners_leaving_at_once_leave_one(committed_db):
    people = make_people()
    second = make_member(people.tenant, "owner")

    def leave(user):
        try:
            with tenant_scope(people.tenant.id):
                services.membership_remove(membership=_membership(people.tenant, user), actor=f"user:{user.pk}")
                return True
        except LastOwnerError:
            return False
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        left = list(pool.map(leave, [people.owner, second]))

    with tenant_scope(people.tenant.id):
        assert sorted(left) == [False, True]
        assert Membership.objects.filter(role="owner").count() == 1


@pytest.mark.django_db
def test_acknowledgement_is_noted_once_for_each_version(clock):
    people = make_people()

    with tenant_scope(people.tenant.id):
        for version in (1, 1, 2):
            services.acknowledgement_add(user_id=people.owner.pk, text_key="risk", version=version, text="Words.")

        assert list(Acknowledgement.objects.order_by("version").values_list("version", "at")) == [
            (1, clock.at),
            (2, clock.at),
        ]
        assert AuditEntry.objects.filter(action="acknowledgement.added").count() == 2
        assert has_acknowledged(people.owner.pk, "risk", 2)
        assert not has_acknowledged(people.owner.pk, "risk", 3)
        assert not has_acknowledged(people.viewer.pk, "risk", 1)


@pytest.mark.django_db
def test_other_words_of_the_same_version_are_agreed_to_anew():
    people = make_people()

    with tenant_scope(people.tenant.id):
        for text in ("at most 100", "at most 100", "at most 200"):
            services.acknowledgement_add(user_id=people.owner.pk, text_key="risk", version=1, text=text)

        assert list(Acknowledgement.objects.order_by("pk").values_list("text", flat=True)) == [
            "at most 100",
            "at most 200",
        ]


@pytest.mark.django_db
def test_tenant_for_route_needs_the_exact_hash_and_kind():
    tenant = make_tenant()
    with tenant_scope(tenant.id):
        services.route_key_add(kind=RouteKey.Kind.WEBHOOK, key_hash="a" * 64)

    assert tenant_for_route("webhook", "a" * 64) == tenant.id
    assert tenant_for_route("api_key", "a" * 64) is None
    assert tenant_for_route("webhook", "a" * 63 + "b") is None


ROLES = {
    "owner": set(Action),
    "manager": {Action.VIEW, Action.STOP, Action.OPERATE, Action.CONFIGURE},
    "viewer": {Action.VIEW},
    "nobody": set(),
}


@pytest.mark.parametrize("role", ROLES)
def test_role_allows_its_actions_alone(role):
    membership = Membership(role=role)

    assert {action for action in Action if can(membership, action)} == ROLES[role]


@pytest.mark.parametrize(
    ("role", "action"), [("viewer", Action.STOP), ("manager", Action.TEAM), ("nobody", Action.VIEW)]
)
def test_require_role_names_role_and_action(role, action):
    with pytest.raises(RoleForbidsError) as refused:
        require_role(Membership(role=role), action)

    assert refused.value.data == {"role": role, "action": str(action)}


def test_every_role_has_its_list():
    assert set(ALLOWED) == set(Membership.Role.values)
