"""Roles, databases and privileges: what must exist before the first migration.

`arun_owner` owns the tables and runs migrations. `arun_app` reads and writes them under row-level security and can
neither bypass it nor change a table. `arun_dispatch` and `arun_relay` start with nothing: migrations grant them the
tables they work on. `arun_support` reads. `arun_backup` reads past row-level security and does nothing else.
`arun_sandbox` owns the paper venue's own database and cannot even connect to the platform's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

OWNER, APP, DISPATCH, RELAY = "arun_owner", "arun_app", "arun_dispatch", "arun_relay"
SUPPORT, SANDBOX, BACKUP = "arun_support", "arun_sandbox", "arun_backup"
ROLES = (OWNER, APP, DISPATCH, RELAY, SUPPORT, SANDBOX, BACKUP)
PLATFORM_GUESTS = (APP, DISPATCH, RELAY, SUPPORT, BACKUP)

_KEEPALIVE = {"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}
_SHORT = {
    "statement_timeout": "5s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "10s",
    "client_connection_check_interval": "1s",
    **_KEEPALIVE,
}
ROLE_SETTINGS: Mapping[str, Mapping[str, str]] = {
    # A migration may run long, but it must not queue for a lock with all of the platform waiting behind it.
    OWNER: {"lock_timeout": "10s", **_KEEPALIVE},
    APP: _SHORT,
    DISPATCH: _SHORT,
    RELAY: _SHORT,
    SUPPORT: {**_SHORT, "statement_timeout": "15s", "default_transaction_read_only": "on"},
    SANDBOX: _SHORT,
    BACKUP: {"default_transaction_read_only": "on", **_KEEPALIVE},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Databases:
    """The names of the platform's database and of the paper venue's."""

    platform: str = "arun"
    sandbox: str = "arun_sandbox"


class ProvisionError(Exception):
    """The role we connected with may not do what provisioning needs."""


def may_provision(connection: psycopg.Connection) -> bool:
    """Return whether the connected role may create roles and databases."""
    row = connection.execute(
        "SELECT rolsuper OR (rolcreaterole AND rolcreatedb) FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    return row is not None and bool(row[0])


def provision(admin_url: str, *, passwords: Mapping[str, str], databases: Databases) -> None:
    """Create the roles and both databases, or bring them up to date. Safe to repeat."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        if not may_provision(connection):
            raise ProvisionError("the role in the database address may not create roles and databases")
        create_roles(connection, passwords=passwords)
        for name, owner in ((databases.platform, OWNER), (databases.sandbox, SANDBOX)):
            create_database(connection, name=name, owner=owner)
        grant_connect(connection, database=databases.platform, owner=OWNER, guests=PLATFORM_GUESTS)
        grant_connect(connection, database=databases.sandbox, owner=SANDBOX, guests=(BACKUP,))
    with psycopg.connect(with_database(admin_url, databases.platform), autocommit=True) as connection:
        grant_platform(connection)
    with psycopg.connect(with_database(admin_url, databases.sandbox), autocommit=True) as connection:
        grant_sandbox(connection)


def create_roles(connection: psycopg.Connection, *, passwords: Mapping[str, str]) -> None:
    """Create each role with its password and settings; an existing one gets both anew."""
    facts = connection.execute(
        "SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"
    ).fetchone() or (False, False)
    is_super, may_bypass = bool(facts[0]), bool(facts[0]) or bool(facts[1])
    present = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
    for role in ROLES:
        if role == BACKUP and not may_bypass:
            continue  # only a role that bypasses row-level security may hand that on
        _create_role(connection, role=role, password=passwords[role], exists=role in present, is_super=is_super)


def _create_role(connection: psycopg.Connection, *, role: str, password: str, exists: bool, is_super: bool) -> None:
    name = sql.Identifier(role)
    # The server gets the verifier, not the password, so that no statement log can hold it.
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    verb = sql.SQL("ALTER" if exists else "CREATE")
    connection.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, name, sql.Literal(verifier)))
    if is_super:
        limits = sql.SQL("ALTER ROLE {} NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION {}")
        connection.execute(limits.format(name, sql.SQL("BYPASSRLS" if role == BACKUP else "NOBYPASSRLS")))
    elif not exists:
        if role == BACKUP:
            connection.execute(sql.SQL("ALTER ROLE {} BYPASSRLS").format(name))
        # Giving a database to a role, and setting its default privileges, asks for membership in it.
        connection.execute(sql.SQL("GRANT {} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE").format(name))
    for setting, value in ROLE_SETTINGS[role].items():
        change = sql.SQL("ALTER ROLE {} SET {} = {}")
        connection.execute(change.format(name, sql.Identifier(setting), sql.Literal(value)))


def create_database(connection: psycopg.Connection, *, name: str, owner: str, template: str = "template0") -> None:
    """Create the database for its owner unless it exists."""
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
        change = sql.SQL("ALTER DATABASE {} OWNER TO {}")
        connection.execute(change.format(sql.Identifier(name), sql.Identifier(owner)))
        return
    create = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
    connection.execute(create.format(sql.Identifier(name), sql.Identifier(owner), sql.Identifier(template)))


def grant_connect(connection: psycopg.Connection, *, database: str, owner: str, guests: Iterable[str]) -> None:
    """Let only the owner and these roles into the database (a clone of a template starts open to everyone)."""
    name = sql.Identifier(database)
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    allowed = [role for role in (owner, *guests) if _role_exists(connection, role)]
    roles = sql.SQL(", ").join(map(sql.Identifier, allowed))
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, roles))


def grant_platform(connection: psycopg.Connection) -> None:
    """Set the schema's and the default privileges inside the platform's database."""
    has_backup = _role_exists(connection, BACKUP)
    guests = [role for role in PLATFORM_GUESTS if role != BACKUP or has_backup]
    _close_schema(connection, owner=OWNER, guests=guests)
    statements = [
        "GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO arun_app",
        "REVOKE TRUNCATE, REFERENCES, TRIGGER ON TABLES FROM arun_app",
        "GRANT USAGE, SELECT ON SEQUENCES TO arun_app",
        "GRANT SELECT ON TABLES TO arun_support",
    ]
    if has_backup:
        statements += ["GRANT SELECT ON TABLES TO arun_backup", "GRANT SELECT ON SEQUENCES TO arun_backup"]
    for statement in statements:
        connection.execute(f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public {statement}".encode())


def grant_sandbox(connection: psycopg.Connection) -> None:
    """Close the paper venue's database to everyone but its owner and the backup."""
    guests = [BACKUP] if _role_exists(connection, BACKUP) else []
    _close_schema(connection, owner=SANDBOX, guests=guests)
    if guests:
        default = f"ALTER DEFAULT PRIVILEGES FOR ROLE {SANDBOX} IN SCHEMA public"
        connection.execute(f"{default} GRANT SELECT ON TABLES TO {BACKUP}".encode())
        connection.execute(f"{default} GRANT SELECT ON SEQUENCES TO {BACKUP}".encode())


def _close_schema(connection: psycopg.Connection, *, owner: str, guests: Iterable[str]) -> None:
    connection.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(sql.Identifier(owner)))
    connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    for role in guests:
        connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(sql.Identifier(role)))


def _role_exists(connection: psycopg.Connection, role: str) -> bool:
    return connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None


def with_database(url: str, database: str) -> str:
    """Return the address with another database name."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{quote(database, safe='')}"))


def with_role(url: str, *, role: str, password: str, database: str) -> str:
    """Return the address of the same server for another role and database."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    login = f"{quote(role, safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{login}@{place}", path=f"/{quote(database, safe='')}"))
