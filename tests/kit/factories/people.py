"""Users and tenants, and the three people of every access test: the owner, a member, and a stranger."""

import itertools
from dataclasses import dataclass

from allauth.account.models import EmailAddress

from apps.accounts.models import User
from apps.common.db import tenant_scope
from apps.tenants.models import Membership, Tenant
from apps.tenants.services import membership_add, tenant_create

PASSWORD = "correct horse battery staple"
_serial = itertools.count(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class People:
    """Two tenants: the owner's, with a manager and a viewer in it, and the stranger's."""

    tenant: Tenant
    owner: User
    manager: User
    viewer: User
    other_tenant: Tenant
    stranger: User


def make_user(email: str | None = None, **fields: object) -> User:
    """Create a person with a confirmed address who can log in with PASSWORD."""
    address = email or f"person{next(_serial)}@example.com"
    user = User.objects.create_user(address, PASSWORD, **fields)
    EmailAddress.objects.create(user=user, email=address, verified=True, primary=True)
    return user


def make_tenant(owner: User | None = None, name: str = "Sharma family") -> Tenant:
    """Create a tenant with an owner."""
    person = owner or make_user()
    return tenant_create(user_id=person.pk, name=name)


def make_member(tenant: Tenant, role: str = Membership.Role.VIEWER, user: User | None = None) -> User:
    """Let a person into the tenant."""
    person = user or make_user()
    with tenant_scope(tenant.id):
        membership_add(user_id=person.pk, role=role, actor="process:tests")
    return person


def make_people() -> People:
    """Create the three standing people and their two tenants."""
    owner, stranger = make_user(), make_user()
    tenant, other = make_tenant(owner), make_tenant(stranger, "Iyer family")
    return People(
        tenant=tenant,
        owner=owner,
        manager=make_member(tenant, Membership.Role.MANAGER),
        viewer=make_member(tenant),
        other_tenant=other,
        stranger=stranger,
    )
