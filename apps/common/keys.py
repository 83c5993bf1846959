"""Names of everything outside the database that belongs to one tenant. Each function takes the tenant."""

from uuid import UUID


def tenant_key(tenant_id: UUID, *parts: object) -> str:
    """Return a Redis key that no other tenant's code can build."""
    return ":".join(["t", str(tenant_id), *(str(part) for part in parts)])


def live_group(tenant_id: UUID) -> str:
    """Return the channel group of a tenant's live updates."""
    return f"t.{tenant_id.hex}.live"


def user_group(user_id: object) -> str:
    """Return the channel group that ends a user's sockets."""
    return f"u.{user_id}.session"
