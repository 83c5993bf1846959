"""The tenant scope: one scope is one transaction, and PostgreSQL's row policies see its tenant.

The second wall behind these Python checks is forced row-level security (`SecureTenantTable`): a query that slips past
them returns nothing, because the policies compare `tenant_id` with the transaction-local setting made here.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.apps import apps as django_apps
from django.db import connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.common.errors import NestedTenantScopeError, NoTenantScopeError
from apps.common.ids import uuid7

SCOPED_ALIASES = ("default", "support")
_OWNER_ROLE = "arun_owner"


def current_tenant_id() -> UUID | None:
    """Return the tenant of this thread's open scope, if one is open.

    The scope hangs on the database connection and not on a context variable: a hop to another thread is another
    connection, where nobody has told PostgreSQL the tenant.
    """
    for alias in SCOPED_ALIASES:
        tenant_id: UUID | None = getattr(connections[alias], "arun_tenant_id", None)
        if tenant_id is not None:
            return tenant_id
    return None


def require_tenant_id() -> UUID:
    """Return the tenant of the open scope, or raise NoTenantScopeError."""
    tenant_id = current_tenant_id()
    if tenant_id is None:
        raise NoTenantScopeError("this needs a tenant scope: with tenant_scope(tenant_id): ...")
    return tenant_id


@contextmanager
def tenant_scope(tenant_id: UUID, *, using: str = "default") -> Iterator[None]:
    """Open a transaction in which this tenant's rows, and no others, exist.

    A scope of the same tenant inside it joins it; one of another tenant raises NestedTenantScopeError. No network
    call belongs inside.
    """
    if not isinstance(tenant_id, UUID):
        raise TypeError(f"tenant_scope expects a UUID, got {type(tenant_id).__name__}")
    connection: Any = connections[using]
    opened = getattr(connection, "arun_tenant_id", None)
    if opened is not None:
        if opened != tenant_id:
            raise NestedTenantScopeError(f"scope of tenant {tenant_id} asked for inside the scope of {opened}")
        yield
        return
    inside_a_transaction = connection.in_atomic_block
    with transaction.atomic(using=using):
        _tell_tenant(connection, str(tenant_id))
        connection.arun_tenant_id = tenant_id
        try:
            yield
        finally:
            connection.arun_tenant_id = None
        # One that is rolled back takes its setting with it, and takes no statement any more.
        if inside_a_transaction and not connection.needs_rollback:
            # A setting made in a savepoint outlives it; the outer transaction must not keep this tenant.
            _tell_tenant(connection, "")


def _tell_tenant(connection: BaseDatabaseWrapper, value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.tenant', %s, true)", [value])


def database_now(using: str = "default") -> datetime:
    """Return PostgreSQL's own clock, the only one that leases and permits are compared with."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        row = cursor.fetchone()
    if row is None or not isinstance(row[0], datetime):
        raise TypeError(f"clock_timestamp() gave {row!r}")
    return row[0]


# --- models -----------------------------------------------------------------------------------------------------------

_ModelT = TypeVar("_ModelT", bound=models.Model)


class TenantManager(models.Manager[_ModelT]):
    """The only default manager of a tenant's table: it needs a scope, and filters by it."""

    def get_queryset(self) -> models.QuerySet[_ModelT]:
        return super().get_queryset().filter(tenant_id=require_tenant_id())


class TenantModel(models.Model):
    """A row that belongs to one tenant. Its table is secured by `SecureTenantTable` in the migration that makes it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.PROTECT, related_name="+", db_index=False)

    objects: models.Manager[Any] = TenantManager()

    class Meta:
        abstract = True

    def save(self, **kwargs: Any) -> None:
        if getattr(self, "tenant_id", None) is None:
            self.tenant_id = require_tenant_id()
        super().save(**kwargs)


class TenantForeignKey(models.ForeignKey):  # type: ignore[type-arg]
    """A reference between two tenant tables.

    PostgreSQL checks foreign keys past the row policies, so the constraint itself names the tenant:
    `FOREIGN KEY (tenant_id, column) REFERENCES target (tenant_id, id)`, made by `SecureTenantTable`.
    """

    def __init__(self, to: Any, on_delete: Any = models.PROTECT, **kwargs: Any) -> None:
        kwargs["db_constraint"] = False
        super().__init__(to, on_delete, **kwargs)


class TenantOneToOneField(models.OneToOneField):  # type: ignore[type-arg]
    """A `TenantForeignKey` of which each target has at most one."""

    def __init__(self, to: Any, on_delete: Any = models.PROTECT, **kwargs: Any) -> None:
        kwargs["db_constraint"] = False
        super().__init__(to, on_delete, **kwargs)


# --- the guard --------------------------------------------------------------------------------------------------------


def tenant_models() -> list[type[models.Model]]:
    """Return every installed model whose rows belong to one tenant."""
    return [model for model in django_apps.get_models() if issubclass(model, TenantModel)]


class ScopeGuard:
    """A connection's execute wrapper that refuses SQL on a tenant table outside a scope."""

    _pattern: re.Pattern[str] | None = None

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if getattr(self.connection, "arun_tenant_id", None) is None:
            found = self.pattern().search(str(sql))
            if found:
                raise NoTenantScopeError(f"SQL on {found.group(1)} outside a tenant scope")
        return execute(sql, params, many, context)

    @classmethod
    def pattern(cls) -> re.Pattern[str]:
        if cls._pattern is None:
            names = sorted((model._meta.db_table for model in tenant_models()), key=len, reverse=True)
            cls._pattern = re.compile(r'"(' + "|".join(map(re.escape, names)) + r')"')
        return cls._pattern


def install_guard(*, connection: BaseDatabaseWrapper, **_kwargs: Any) -> None:
    """Put the guard on a new connection of a role that row policies apply to."""
    guarded = connection.alias in SCOPED_ALIASES and connection.settings_dict["USER"] != _OWNER_ROLE
    if guarded and not any(isinstance(wrapper, ScopeGuard) for wrapper in connection.execute_wrappers):
        connection.execute_wrappers.append(ScopeGuard(connection))
