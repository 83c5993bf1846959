"""Who belongs where. `memberships_of_user` is the one read that crosses tenants, and sees one person's rows only."""

import hashlib
from dataclasses import dataclass
from uuid import UUID

from django.db import connection, transaction

from apps.common.db import require_tenant_id
from apps.tenants.errors import NoMembershipError
from apps.tenants.models import Acknowledgement, Membership, Tenant


@dataclass(frozen=True, kw_only=True, slots=True)
class MembershipFacts:
    """One place that a person has, as the tenant switch shows it."""

    tenant_id: UUID
    tenant_name: str
    tenant_status: str
    is_demo: bool
    role: str


# Unquoted names: this is reviewed SQL on tenant tables outside a scope. The policies `own_membership` and `own_tenant`
# let a person's own rows through, by the transaction-local setting `app.user`.
_OWN_MEMBERSHIPS = """
SELECT tenant.id, tenant.name, tenant.status, tenant.is_demo, membership.role
FROM tenants_membership AS membership
JOIN tenants_tenant AS tenant ON tenant.id = membership.tenant_id
WHERE membership.user_id = %s AND tenant.status <> 'closed'
ORDER BY membership.created_at, tenant.id
"""


def memberships_of_user(user_id: UUID) -> tuple[MembershipFacts, ...]:
    """Return every open tenant the person belongs to, oldest membership first. Needs no tenant scope."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.user', %s, true)", [str(user_id)])
        cursor.execute(_OWN_MEMBERSHIPS, [user_id])
        rows = cursor.fetchall()
        # Inside an outer transaction the setting would outlive this block.
        cursor.execute("SELECT set_config('app.user', '', true)")
    return tuple(
        MembershipFacts(tenant_id=row[0], tenant_name=row[1], tenant_status=row[2], is_demo=row[3], role=row[4])
        for row in rows
    )


def membership_for(user_id: UUID) -> Membership | None:
    """Return the person's membership in the open scope's tenant, with its tenant; None for a stranger."""
    membership: Membership | None = (
        Membership.objects.select_related("tenant")
        .filter(user_id=user_id)
        .exclude(tenant__status=Tenant.Status.CLOSED)
        .first()
    )
    return membership


def access_membership(user_id: UUID) -> Membership:
    """Return the person's membership in the open scope's tenant, or raise NoMembershipError."""
    membership = membership_for(user_id)
    if membership is None:
        raise NoMembershipError(f"user {user_id} does not belong to tenant {require_tenant_id()}")
    return membership


def tenant_for_route(kind: str, key_hash: str) -> UUID | None:
    """Return the tenant that this key belongs to, by exact look-up; None when no tenant has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT arun_route(%s, %s)", [kind, key_hash])
        row = cursor.fetchone()
    found: UUID | None = row[0] if row else None
    return found


def has_acknowledged(user_id: UUID, text_key: str, version: int) -> bool:
    """Return whether the person agreed to this version of the text in the open scope's tenant."""
    return bool(Acknowledgement.objects.filter(user_id=user_id, text_key=text_key, version=version).exists())


def text_digest(text: str) -> str:
    """Return the fingerprint by which two readings of a text are compared."""
    return hashlib.sha256(text.encode()).hexdigest()
