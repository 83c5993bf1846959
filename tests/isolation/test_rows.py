"""What each role can reach in each tenant's rows, tried with a row of every tenant table for two tenants."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb
from pytest_django import DjangoDbBlocker

from apps.common.db import tenant_models
from apps.common.tables import SPECIAL_TABLES
from tests.kit.database import TestDatabases, separate_databases

TABLES = sorted({model._meta.db_table for model in tenant_models()} | set(SPECIAL_TABLES))
OURS, THEIRS = uuid.UUID(int=0xA), uuid.UUID(int=0xB)
_VALUES = {
    "uuid": uuid.uuid4,
    "text": lambda: uuid.uuid4().hex,
    "varchar": lambda: uuid.uuid4().hex,
    "int2": lambda: uuid.uuid4().int % 30000,
    "int4": lambda: uuid.uuid4().int % 2_000_000_000,
    "int8": lambda: uuid.uuid4().int % 2_000_000_000,
    "numeric": lambda: 1,
    "bool": lambda: True,
    "timestamptz": lambda: "2026-01-01T00:00:00Z",
    "date": lambda: "2026-01-01",
    "time": lambda: "09:15",
    "jsonb": lambda: Jsonb({}),
    "bytea": lambda: b"x",
    "float8": lambda: 1.0,
    "inet": lambda: "192.0.2.1",
    "_varchar": list,
}


def _columns(connection: psycopg.Connection, table: str) -> list[tuple[str, str, int | None]]:
    return connection.execute(
        """
        SELECT column_name, udt_name, character_maximum_length FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name = %s AND is_generated = 'NEVER' ORDER BY ordinal_position
        """,
        [table],
    ).fetchall()


def _tenant_column(table: str) -> str:
    return "id" if table == "tenants_tenant" else "tenant_id"


def _row(connection: psycopg.Connection, table: str, tenant: uuid.UUID) -> dict[str, object]:
    row: dict[str, object] = {}
    for name, kind, longest in _columns(connection, table):
        value = _VALUES[kind]()
        row[name] = value[:longest] if isinstance(value, str) and longest else value
    return {**row, _tenant_column(table): tenant}


def _insert(connection: psycopg.Connection, table: str, row: dict[str, object]) -> None:
    statement = sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join([sql.Placeholder()] * len(row)),
    )
    connection.execute(statement, list(row.values()))


@pytest.fixture(scope="module")
def filled(
    django_db_setup: None, worker_databases: TestDatabases, django_db_blocker: DjangoDbBlocker
) -> Iterator[TestDatabases]:
    """A row of every tenant table for two tenants. Checks and triggers are off: the walls alone shall stand.

    Filling takes a second, so the tests share it; what one of them does is taken back at its end.
    """
    with separate_databases(worker_databases, django_db_blocker) as databases:
        _fill(databases)
        yield databases


def _fill(databases: TestDatabases) -> None:
    with databases.connect("postgres") as admin:
        for (statement,) in admin.execute("""
            SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)
            FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace AND conrelid <> 0
        """).fetchall():
            admin.execute(statement)
        for table in TABLES:
            admin.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER ALL").format(sql.Identifier(table)))
        for tenant in (OURS, THEIRS):
            for table in TABLES:
                _insert(admin, table, _row(admin, table, tenant))


@contextmanager
def _scoped(
    databases: TestDatabases, role: str, setting: str | None, *, first: str = "SELECT 1"
) -> Iterator[psycopg.Connection]:
    with databases.connect(role) as connection:
        connection.execute(first)
        with connection.transaction(force_rollback=True):
            yield _in_scope(connection, setting)


def _in_scope(connection: psycopg.Connection, setting: str | None) -> psycopg.Connection:
    if setting is not None:
        connection.execute("SELECT set_config('app.tenant', %s, false)", [setting])
    return connection


def _count(connection: psycopg.Connection, table: str, tenant: uuid.UUID) -> int:
    query = sql.SQL("SELECT count(*) FROM {} WHERE {} = %s").format(
        sql.Identifier(table), sql.Identifier(_tenant_column(table))
    )
    try:
        with connection.transaction():
            return connection.execute(query, [tenant]).fetchone()[0]
    except psycopg.errors.InsufficientPrivilege:
        return 0


def _changed(connection: psycopg.Connection, statement: sql.Composed, parameters: list[object]) -> int:
    """Return the number of rows changed; a missing privilege changes none."""
    try:
        with connection.transaction():
            return connection.execute(statement, parameters).rowcount
    except psycopg.errors.InsufficientPrivilege:
        return 0


@pytest.mark.parametrize("role", ["arun_app", "arun_support"])
def test_select_in_a_scope_shows_its_tenant_alone(filled, role):
    everywhere = {"tenants_tenant", "tenants_membership"} if role == "arun_support" else set()
    hidden = {"tenants_routekey"} if role == "arun_support" else set()
    with _scoped(filled, role, str(OURS)) as connection:
        own = [table for table in TABLES if _count(connection, table, OURS) != 1 and table not in hidden]
        leaks = [table for table in TABLES if _count(connection, table, THEIRS) and table not in everywhere]

    assert own == []
    assert leaks == []


@pytest.mark.parametrize("setting", [None, ""])
@pytest.mark.parametrize("role", ["arun_app", "arun_support"])
def test_select_without_a_scope_shows_nothing(filled, role, setting):
    everywhere = {"tenants_tenant", "tenants_membership"} if role == "arun_support" else set()
    with _scoped(filled, role, setting) as connection:
        leaks = [
            table
            for table in TABLES
            if table not in everywhere and _count(connection, table, OURS) + _count(connection, table, THEIRS)
        ]

    assert leaks == []


@pytest.mark.parametrize("setting", [None, "", str(OURS)])
def test_update_of_foreign_rows_changes_nothing(filled, setting):
    with _scoped(filled, "arun_app", setting) as connection:
        leaks = []
        for table in TABLES:
            column = sql.Identifier(_tenant_column(table))
            touch = sql.SQL("UPDATE {} SET {} = {} WHERE {} = %s").format(sql.Identifier(table), column, column, column)
            if _changed(connection, touch, [THEIRS]):
                leaks.append(table)

    assert leaks == []


@pytest.mark.parametrize("setting", [None, "", str(OURS)])
def test_delete_of_foreign_rows_changes_nothing(filled, setting):
    with _scoped(filled, "arun_app", setting) as connection:
        leaks = []
        for table in TABLES:
            delete = sql.SQL("DELETE FROM {} WHERE {} = %s").format(
                sql.Identifier(table), sql.Identifier(_tenant_column(table))
            )
            if _changed(connection, delete, [THEIRS]):
                leaks.append(table)

    assert leaks == []


def test_update_without_a_condition_keeps_to_the_scope(filled):
    with _scoped(filled, "arun_app", str(OURS)) as connection:
        wide = []
        for table in TABLES:
            column = sql.Identifier(_tenant_column(table))
            touch = sql.SQL("UPDATE {} SET {} = {}").format(sql.Identifier(table), column, column)
            if _changed(connection, touch, []) > 1:
                wide.append(table)

    assert wide == []


@pytest.mark.parametrize("setting", [None, "", str(OURS)])
def test_insert_for_another_tenant_is_refused(filled, setting):
    with filled.connect("postgres") as admin:
        rows = {table: _row(admin, table, uuid.uuid4() if table == "tenants_tenant" else THEIRS) for table in TABLES}
    with _scoped(filled, "arun_app", setting) as connection:
        accepted = []
        for table, row in rows.items():
            try:
                with connection.transaction():
                    _insert(connection, table, row)
            except psycopg.errors.InsufficientPrivilege:
                continue
            accepted.append(table)

    assert accepted == []


def test_insert_for_the_own_tenant_is_accepted_where_the_application_may_insert(filled):
    """The refusals above mean something: the same rows go in for the scope's own tenant."""
    not_for_the_application = {"common_tenantstream", "common_auditlink"}
    once_per_tenant = {"tenants_tenant", "common_tenantstream", "subscriptions_subscription", "onboarding_setupdraft"}
    with filled.connect("postgres") as admin:
        rows = {table: _row(admin, table, OURS) for table in TABLES}
    with _scoped(filled, "arun_app", str(OURS)) as connection:
        refused = set()
        for table, row in rows.items():
            if table in once_per_tenant:
                continue
            try:
                with connection.transaction():
                    _insert(connection, table, row)
            except psycopg.errors.InsufficientPrivilege:
                refused.add(table)

    assert refused == not_for_the_application - once_per_tenant


def test_moving_an_own_row_to_another_tenant_is_refused(filled):
    with _scoped(filled, "arun_app", str(OURS)) as connection:
        moved = []
        for table in TABLES:
            column = sql.Identifier(_tenant_column(table))
            move = sql.SQL("UPDATE {} SET {} = %s WHERE {} = %s").format(sql.Identifier(table), column, column)
            if _changed(connection, move, [uuid.UUID(int=0xC), OURS]):
                moved.append(table)

    assert moved == []


def test_support_changes_nothing_even_in_a_scope(filled):
    writable = "SET default_transaction_read_only = off"  # a setting, not the wall
    with _scoped(filled, "arun_support", str(OURS), first=writable) as connection:
        changed = []
        for table in TABLES:
            column = sql.Identifier(_tenant_column(table))
            touch = sql.SQL("UPDATE {} SET {} = {}").format(sql.Identifier(table), column, column)
            if _changed(connection, touch, []):
                changed.append(table)

    assert changed == []


@pytest.mark.parametrize("table", ["common_auditentry", "common_auditlink", "tenants_acknowledgement"])
@pytest.mark.parametrize("verb", ["UPDATE {} SET tenant_id = tenant_id", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_append_only_table_refuses_the_owner_too(committed_db, table, verb):
    with committed_db.connect("postgres") as admin:
        admin.execute("SET session_replication_role = replica")
        _insert(admin, table, _row(admin, table, OURS))
    with committed_db.connect() as owner, pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        owner.execute(sql.SQL(verb).format(sql.Identifier(table)))
