"""What each role may do, asked of PostgreSQL itself."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors, sql

from arun_saas.embedded.provision import (
    APP,
    BACKUP,
    DISPATCH,
    OWNER,
    RELAY,
    ROLES,
    SANDBOX,
    SUPPORT,
    Databases,
    ProvisionError,
    provision,
)
from tests.kit.database import TestDatabases, role_url

pytestmark = pytest.mark.xdist_group("roles")  # roles belong to the whole server: one at a time


@pytest.fixture
def probe(committed_db: TestDatabases) -> TestDatabases:
    """Add a table and a sequence as the owner, as a migration would."""
    with committed_db.connect(OWNER) as owner:
        owner.execute("CREATE TABLE probe (id bigserial PRIMARY KEY, word text)")
        owner.execute("INSERT INTO probe (word) VALUES ('a')")
    return committed_db


def refused(databases: TestDatabases, role: str, statement: str) -> None:
    with databases.connect(role) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(sql.SQL(statement))


def test_no_role_is_above_the_row_policies_but_the_backup(committed_db):
    with committed_db.connect(OWNER) as owner:
        rows = owner.execute(
            "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = ANY(%s)",
            [list(ROLES)],
        ).fetchall()

    assert {row[0] for row in rows} == set(ROLES)
    assert [row[0] for row in rows if row[2]] == [BACKUP]
    assert not any(row[1] or row[3] or row[4] for row in rows)


def test_app_reads_and_writes_but_cannot_empty_or_change_a_table(probe):
    with probe.connect(APP) as app:
        app.execute("INSERT INTO probe (word) VALUES ('b')")
        app.execute("UPDATE probe SET word = 'c' WHERE word = 'a'")
        app.execute("DELETE FROM probe WHERE word = 'b'")
        assert app.execute("SELECT word FROM probe").fetchall() == [("c",)]

    refused(probe, APP, "TRUNCATE probe")
    refused(probe, APP, "ALTER TABLE probe ADD COLUMN more text")
    refused(probe, APP, "CREATE TABLE mine (id int)")
    refused(probe, APP, "CREATE TRIGGER t BEFORE INSERT ON probe EXECUTE FUNCTION suppress_redundant_updates_trigger()")


@pytest.mark.parametrize("role", [DISPATCH, RELAY])
def test_narrow_roles_start_with_nothing(probe, role):
    refused(probe, role, "SELECT * FROM probe")
    refused(probe, role, "INSERT INTO probe (word) VALUES ('b')")


@pytest.mark.parametrize("role", [SUPPORT, BACKUP])
def test_reading_roles_read_and_cannot_write(probe, role):
    with probe.connect(role) as reader:
        assert reader.execute("SELECT word FROM probe").fetchall() == [("a",)]
        with pytest.raises(errors.ReadOnlySqlTransaction):
            reader.execute("DELETE FROM probe")
        reader.execute("SET default_transaction_read_only = off")  # a setting, not the wall
        with pytest.raises(errors.InsufficientPrivilege):
            reader.execute("DELETE FROM probe")


def test_only_the_sandbox_enters_its_database_and_it_enters_no_other(committed_db):
    for role, database in ((SANDBOX, committed_db.platform), (APP, committed_db.sandbox)):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(role_url(role, database))


def test_short_roles_carry_their_time_limits(committed_db):
    with committed_db.connect(APP) as app:
        limits = [
            app.execute(sql.SQL("SHOW {}").format(sql.Identifier(name))).fetchone()
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        ]

    assert limits == [("5s",), ("2s",), ("10s",)]


@pytest.fixture
def spare_names() -> Iterator[Databases]:
    names = Databases(platform="spare_platform", sandbox="spare_sandbox")
    yield names
    with psycopg.connect(role_url("postgres", "postgres"), autocommit=True) as admin:
        for name in (names.platform, names.sandbox):
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def test_provisioning_twice_changes_nothing_and_sets_the_passwords(services, spare_names):
    admin = role_url("postgres", "postgres")
    with psycopg.connect(admin) as connection:
        password = connection.info.password
    passwords = dict.fromkeys(ROLES, password)

    provision(admin, passwords=passwords, databases=spare_names)
    with psycopg.connect(role_url(OWNER, spare_names.platform), autocommit=True) as owner:
        owner.execute("CREATE TABLE kept (id int)")
    provision(admin, passwords=passwords, databases=spare_names)

    with psycopg.connect(role_url(APP, spare_names.platform)) as app:
        assert app.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_provisioning_by_a_role_that_may_not_create_roles_is_refused(committed_db, spare_names):
    with pytest.raises(ProvisionError):
        provision(role_url(OWNER, committed_db.platform), passwords=dict.fromkeys(ROLES, "x"), databases=spare_names)
