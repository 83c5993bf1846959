"""What the platform's processes find in their environment, from our own servers or from those that were given."""

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from .errors import RefusedStartError
from .home import Home
from .postgres import PostgresServer
from .provision import APP, DISPATCH, OWNER, RELAY, SANDBOX, SUPPORT, Databases, may_provision, with_role
from .valkey import ValkeyServer

ROLE_OF_VARIABLE = {
    "DATABASE_URL": APP,
    "DATABASE_OWNER_URL": OWNER,
    "DATABASE_DISPATCH_URL": DISPATCH,
    "DATABASE_RELAY_URL": RELAY,
    "DATABASE_SUPPORT_URL": SUPPORT,
    "SANDBOX_DATABASE_URL": SANDBOX,
}
SECRET_VARIABLES = {"ARUN_SECRET_KEY": "secret_key", "ARUN_TAG_KEY": "tag_key", "SANDBOX_KEY": "sandbox_key"}
MAINTENANCE_DATABASES = ("postgres", "template1")
FINGERPRINTED = ("*.py", "*.json", "*.csv", "*.toml")
HIGHEST_PORT = 65535


def chosen_port(given: Mapping[str, str]) -> int:
    """Return PORT, or 8000."""
    text = given.get("PORT") or "8000"
    if not text.isdecimal() or not 0 < int(text) <= HIGHEST_PORT:
        raise RefusedStartError(f"PORT must be a number from 1 to {HIGHEST_PORT}, got {text!r}.")
    return int(text)


def base_environment(home: Home, *, port: int, ports: Mapping[str, int]) -> dict[str, str]:
    """Return the variables that do not depend on a database."""
    given = dict(os.environ)
    kept = home.secrets()
    made = {variable: kept[name] for variable, name in SECRET_VARIABLES.items() if not given.get(variable)}
    sandbox_port = given.get("SANDBOX_PORT") or str(ports["sandbox"])
    return {
        **given,
        **made,
        "ARUN_DATA": str(home.folder),
        "PORT": str(port),
        "SANDBOX_PORT": sandbox_port,
        "SANDBOX_URL": given.get("SANDBOX_URL") or f"http://127.0.0.1:{sandbox_port}",
        "ARUN_DEMO_EMAIL": given.get("ARUN_DEMO_EMAIL") or "demo@arun.localhost",
        "ARUN_STAFF_EMAIL": given.get("ARUN_STAFF_EMAIL") or "staff@arun.localhost",
        "ARUN_DEMO_PASSWORD": given.get("ARUN_DEMO_PASSWORD") or kept["demo_password"],
        "DJANGO_SETTINGS_MODULE": given.get("DJANGO_SETTINGS_MODULE") or "arun_saas.settings.development",
        "PYTHONUNBUFFERED": "1",
        # As root the run says so once itself, instead of each Celery worker at length.
        "PYTHONWARNINGS": given.get("PYTHONWARNINGS") or "ignore:You're running the worker with superuser privileges",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), given.get("PATH", os.defpath)]),
    }


def embedded_databases(server: PostgresServer, *, passwords: Mapping[str, str]) -> dict[str, str]:
    """Return the addresses of each role on our own PostgreSQL."""
    return role_addresses(server.url(), passwords=passwords, databases=Databases())


def role_addresses(url: str, *, passwords: Mapping[str, str], databases: Databases) -> dict[str, str]:
    """Return the address of each role on the server of `url`."""
    return {
        variable: with_role(
            url,
            role=role,
            password=passwords[role],
            database=databases.sandbox if role == SANDBOX else databases.platform,
        )
        for variable, role in ROLE_OF_VARIABLE.items()
    }


def given_admin(url: str) -> Databases | None:
    """Return the databases to make when the role in a given DATABASE_URL may do so, else None.

    Raises RefusedStartError when the server does not answer, or when the role may not and an address is missing.
    """
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
            allowed = may_provision(connection)
    except psycopg.Error as error:
        raise RefusedStartError(f"DATABASE_URL is set, but its server refuses: {str(error).strip()}") from error
    if allowed:
        name = urlsplit(url).path.strip("/")
        if not name or name in MAINTENANCE_DATABASES:
            return Databases()
        return Databases(platform=name, sandbox=f"{name}_sandbox")
    missing = [variable for variable in ROLE_OF_VARIABLE if not os.environ.get(variable)]
    if missing:
        raise RefusedStartError(
            f"DATABASE_URL is set and its role may not create roles, so {', '.join(missing)} must be set too."
        )
    return None


def redis_addresses(server: ValkeyServer) -> dict[str, str]:
    """Return the addresses of our own Valkey's three databases: broker and locks, cache, channels."""
    names = ("REDIS_URL", "REDIS_CACHE_URL", "REDIS_CHANNELS_URL")
    return {name: server.url(index) for index, name in enumerate(names)}


def fingerprint(root: Path, *, databases: Mapping[str, str]) -> str:
    """Return the hash of the code and of the databases; unchanged means prepared already."""
    digest = hashlib.sha256()
    for variable in sorted(ROLE_OF_VARIABLE):
        digest.update(databases[variable].encode() + b"\0")
    files = [path for folder in ("apps", "arun_saas") for rule in FINGERPRINTED for path in (root / folder).rglob(rule)]
    for path in [*sorted(files), root / "requirements/base.txt"]:
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
