"""Every write on tenants and their people."""

from collections.abc import Mapping
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.common import audit, clock, events
from apps.common.db import require_tenant_id, tenant_scope
from apps.common.ids import uuid7
from apps.tenants import selectors
from apps.tenants.errors import AlreadyMemberError, LastOwnerError, TooManyTenantsError
from apps.tenants.models import Acknowledgement, Membership, RouteKey, Tenant

TENANT_CREATED = "TenantCreated"
MEMBERSHIP_CHANGED = "MembershipChanged"
MOST_OWNED_TENANTS = 5  # one person's; a limit against scripts, not a plan's limit


def tenant_create(*, user_id: UUID, name: str, is_demo: bool = False) -> Tenant:
    """Create a tenant that this person owns. Opens the new tenant's scope itself, so call it outside any other.

    Other apps lay down what a tenant needs when they hear `TenantCreated`, or in a scope they open right after.
    """
    owned = [place for place in selectors.memberships_of_user(user_id) if place.role == Membership.Role.OWNER]
    if len(owned) >= MOST_OWNED_TENANTS:
        raise TooManyTenantsError(
            f"user {user_id} owns {len(owned)} accounts, at most {MOST_OWNED_TENANTS} are allowed"
        )
    tenant_id = uuid7()
    with tenant_scope(tenant_id):
        tenant = Tenant.objects.create(id=tenant_id, name=name.strip(), is_demo=is_demo)
        Membership.objects.create(tenant=tenant, user_id=user_id, role=Membership.Role.OWNER)
        audit.record("tenant.created", actor=audit.user_actor(user_id), subject=f"tenant:{tenant_id}")
        events.publish(TENANT_CREATED, tenant_id=tenant_id, data={"owner_id": user_id, "is_demo": is_demo})
    return tenant


def membership_add(*, user_id: UUID, role: str, actor: str) -> Membership:
    """Let a person into the open scope's tenant."""
    try:
        with transaction.atomic():
            membership: Membership = Membership.objects.create(user_id=user_id, role=Membership.Role(role))
    except IntegrityError as error:
        raise AlreadyMemberError(f"user {user_id} belongs to this account already") from error
    _tell("membership.added", membership, actor=actor)
    return membership


def membership_change_role(*, membership: Membership, role: str, actor: str) -> Membership:
    """Give a member another role."""
    if role != Membership.Role.OWNER:
        _keep_an_owner(besides=membership)
    membership.role = Membership.Role(role)
    membership.save(update_fields=["role"])
    _tell("membership.role_changed", membership, actor=actor)
    return membership


def membership_remove(*, membership: Membership, actor: str) -> None:
    """Take a person's place away. Their open pages end at the next check of the live socket."""
    _keep_an_owner(besides=membership)
    _tell("membership.removed", membership, actor=actor)
    membership.delete()


def membership_set_notices(*, membership: Membership, notices: Mapping[str, object], actor: str) -> Membership:
    """Keep how a member wants to be told."""
    membership.notices = dict(notices)
    membership.save(update_fields=["notices"])
    audit.record(
        "membership.notices_changed", actor=actor, subject=f"membership:{membership.id}", data=membership.notices
    )
    return membership


def _keep_an_owner(*, besides: Membership) -> None:
    """Raise LastOwnerError when no other owner is left. The lock lets two owners not leave at the same time."""
    owners = list(
        Membership.objects.select_for_update()
        .filter(role=Membership.Role.OWNER)
        .order_by("id")
        .values_list("id", flat=True)
    )
    if owners == [besides.id]:
        raise LastOwnerError("this account has no other owner")


def _tell(action: str, membership: Membership, *, actor: str) -> None:
    data = {"user_id": membership.user_id, "role": str(membership.role)}
    audit.record(action, actor=actor, subject=f"membership:{membership.id}", data=data)
    events.publish(MEMBERSHIP_CHANGED, tenant_id=require_tenant_id(), data={**data, "action": action})


def acknowledgement_add(*, user_id: UUID, text_key: str, version: int, text: str) -> Acknowledgement:
    """Note that the person agreed to these words; agreeing to the same again returns the first note."""
    digest = selectors.text_digest(text)
    found: Acknowledgement
    found, created = Acknowledgement.objects.get_or_create(
        tenant_id=require_tenant_id(),
        user_id=user_id,
        text_key=text_key,
        version=version,
        text_hash=digest,
        defaults={"text": text, "at": clock.now()},
    )
    if created:
        audit.record(
            "acknowledgement.added",
            actor=audit.user_actor(user_id),
            subject=f"text:{text_key}",
            data={"version": version, "text_hash": digest},
        )
    return found


def tenant_rename(*, name: str, actor: str) -> None:
    """Give the open scope's tenant another name; the same name changes nothing."""
    tenant_id = require_tenant_id()
    if Tenant.objects.filter(pk=tenant_id).exclude(name=name.strip()).update(name=name.strip()):
        audit.record("tenant.renamed", actor=actor, subject=f"tenant:{tenant_id}")


def route_key_add(*, kind: str, key_hash: str) -> RouteKey:
    """Let this hash lead to the open scope's tenant. Raises IntegrityError when it leads somewhere already."""
    key: RouteKey = RouteKey.objects.create(kind=RouteKey.Kind(kind), key_hash=key_hash)
    return key
