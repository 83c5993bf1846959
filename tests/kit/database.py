"""Fixtures that give tests a real PostgreSQL with the platform's roles, and a real Valkey.

`db` (pytest-django's own): one connection as arun_app, rolled back after the test.
`committed_db`: a fresh clone for this test alone; every alias connects to it under its own role, from any thread.
`valkey`: a client of the session's Valkey, emptied before the test.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest
import redis
from django.conf import settings
from django.db import connections
from psycopg import sql
from pytest_django import DjangoDbBlocker

from arun_saas.embedded.provision import OWNER, PLATFORM_GUESTS, SANDBOX, grant_connect

from . import addresses
from .services import start_services

PLATFORM_ALIASES = ("default", "dispatch", "relay", "support")
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")


@dataclass(frozen=True, kw_only=True, slots=True)
class TestDatabases:
    """The two databases a test works on."""

    __test__ = False

    platform: str
    sandbox: str

    def environment(self) -> dict[str, str]:
        """Return the variables that point a process of the platform at these databases."""
        return addresses.role_addresses(
            platform=self.platform,
            sandbox=self.sandbox,
            port=int(os.environ["ARUN_TEST_POSTGRES_PORT"]),
            password=os.environ["ARUN_TEST_PASSWORD"],
        )

    def connect(self, role: str = OWNER) -> psycopg.Connection:
        """Open a plain connection under this role (`postgres` is the superuser)."""
        database = self.sandbox if role == SANDBOX else self.platform
        return psycopg.connect(role_url(role, database), autocommit=True)


def role_url(role: str, database: str) -> str:
    """Return the address of this role in this database of the session's server."""
    password, port = os.environ["ARUN_TEST_PASSWORD"], os.environ["ARUN_TEST_POSTGRES_PORT"]
    return f"postgresql://{role}:{password}@127.0.0.1:{port}/{database}"


def _clone(databases: TestDatabases) -> None:
    with psycopg.connect(role_url("postgres", "postgres"), autocommit=True) as connection:
        for name, template, owner, guests in (
            (databases.platform, addresses.PLATFORM_TEMPLATE, OWNER, PLATFORM_GUESTS),
            (databases.sandbox, addresses.SANDBOX_TEMPLATE, SANDBOX, ()),
        ):
            create = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY FILE_COPY")
            connection.execute(create.format(*map(sql.Identifier, (name, owner, template))))
            grant_connect(connection, database=name, owner=owner, guests=guests)


def _drop(databases: TestDatabases) -> None:
    with psycopg.connect(role_url("postgres", "postgres"), autocommit=True) as connection:
        for name in (databases.platform, databases.sandbox):
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _point_django_at(databases: TestDatabases) -> None:
    connections.close_all()
    for alias in settings.DATABASES:
        name = databases.platform if alias in PLATFORM_ALIASES else databases.sandbox
        # One dictionary is shared by the settings and the connections of all threads.
        connections.settings[alias]["NAME"] = name
    os.environ |= databases.environment()


@pytest.fixture(scope="session")
def services() -> None:
    """Start the session's PostgreSQL and Valkey, or find them started by another worker."""
    start_services()


@pytest.fixture(scope="session")
def worker_databases(services: None) -> TestDatabases:
    """Return this worker's own clone of the migrated templates."""
    databases = TestDatabases(platform=f"arun_{WORKER}", sandbox=f"arun_sandbox_{WORKER}")
    _clone(databases)
    return databases


@pytest.fixture(scope="session")
def django_db_setup(worker_databases: TestDatabases, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Take the place of pytest-django's own: the database is there, migrated, and belongs to arun_owner."""
    with django_db_blocker.unblock():
        _point_django_at(worker_databases)
    yield
    with django_db_blocker.unblock():
        connections.close_all()


@pytest.fixture
def committed_db(
    request: pytest.FixtureRequest,
    django_db_setup: None,
    worker_databases: TestDatabases,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[TestDatabases]:
    """Give the test databases of its own, in which commits are real and every thread and role may connect."""
    if {"db", "transactional_db"} & set(request.fixturenames) or request.node.get_closest_marker("django_db"):
        raise pytest.UsageError("committed_db takes the place of db and of the django_db mark: use one of them")
    with separate_databases(worker_databases, django_db_blocker) as databases:
        yield databases


@contextmanager
def separate_databases(worker_databases: TestDatabases, django_db_blocker: DjangoDbBlocker) -> Iterator[TestDatabases]:
    """Point every alias at a fresh clone for the block; for fixtures that live longer than one test."""
    serial = _Serial.take()
    databases = TestDatabases(platform=f"arun_{WORKER}_{serial}", sandbox=f"arun_sandbox_{WORKER}_{serial}")
    with django_db_blocker.unblock():
        _clone(databases)
        _point_django_at(databases)
        try:
            yield databases
        finally:
            _point_django_at(worker_databases)
            _drop(databases)


class _Serial:
    last = 0

    @classmethod
    def take(cls) -> int:
        cls.last += 1
        return cls.last


@pytest.fixture
def valkey(services: None) -> Iterator["redis.Redis[bytes]"]:
    """Return a client of this worker's broker and lock database, emptied like its cache and channel databases."""
    flush_valkey()
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        yield client


def flush_valkey() -> None:
    """Empty this worker's databases of the session's Valkey."""
    for url in (settings.REDIS_URL, settings.REDIS_CACHE_URL, settings.REDIS_CHANNELS_URL):
        with redis.Redis.from_url(url) as one:
            one.flushdb()
