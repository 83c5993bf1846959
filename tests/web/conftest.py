"""An account with a little history, and browsers of the people around it."""

import pytest
import redis
from django.test import Client

from apps.accounts.models import User
from tests.kit.database import TestDatabases
from tests.web.world import World, empty_world, full_world


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def world(db: None, valkey: "redis.Redis[bytes]") -> World:
    return full_world()


@pytest.fixture
def fresh(db: None, valkey: "redis.Redis[bytes]") -> World:
    return empty_world()


@pytest.fixture
def owner(world: World) -> Client:
    return signed_in(world.owner)


@pytest.fixture
def viewer(world: World) -> Client:
    return signed_in(world.viewer)


@pytest.fixture
def stranger(world: World) -> Client:
    return signed_in(world.stranger)


@pytest.fixture
def committed_world(committed_db: TestDatabases, valkey: "redis.Redis[bytes]") -> World:
    return full_world()


@pytest.fixture
def committed_owner(committed_world: World) -> Client:
    return signed_in(committed_world.owner)


@pytest.fixture
def committed_stranger(committed_world: World) -> Client:
    return signed_in(committed_world.stranger)
