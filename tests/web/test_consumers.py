"""The live socket, driven as a browser would, on a database whose commits are real."""

import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from channels.security.websocket import OriginValidator
from django.conf import settings
from django.test import Client

from apps.accounts.models import User
from apps.common import outbox
from apps.common.db import tenant_scope
from apps.common.keys import live_group
from apps.tenants.models import Membership
from apps.web import consumers
from arun_saas.asgi import application
from tests.web.conftest import signed_in
from tests.web.sockets import Socket
from tests.web.world import World


def opened_home(user: User) -> Client:
    """Return a browser that has loaded Home, which is what puts the tenant into the session."""
    client = signed_in(user)
    client.get("/home/")
    return client


def cookie_of(client: Client) -> str:
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


async def opened_socket(user: User, **options: Any) -> tuple[Socket, Client]:
    client = await sync_to_async(opened_home)(user)
    socket = Socket(cookie=cookie_of(client), **options)
    assert (await socket.open())["type"] == "websocket.accept"
    return socket, client


async def push(world: World, **message: Any) -> None:
    await get_channel_layer().group_send(
        live_group(world.account.tenant_id), {"type": "live.event", "kind": "FillBooked", "data": {}, **message}
    )


@pytest.fixture
async def owner_socket(committed_world: World) -> Any:
    socket, client = await opened_socket(committed_world.owner)
    yield socket, client
    await socket.close()


async def test_first_word_is_the_last_number_of_the_stream(committed_world, owner_socket) -> None:
    socket, _ = owner_socket

    assert await socket.hear() == {"kind": "hello", "seq": 0}


async def test_number_of_the_first_word_counts_what_the_relay_numbered(committed_world) -> None:
    numbered = await sync_to_async(outbox.number_events)()
    socket, _ = await opened_socket(committed_world.owner)

    hello = await socket.hear()

    await socket.close()
    assert 0 < hello["seq"] < numbered  # the stranger's account has a stream of its own


async def test_event_is_forwarded_as_it_is(committed_world, owner_socket) -> None:
    socket, _ = owner_socket
    await socket.hear()

    await push(committed_world, seq=9, data={"quantity": 3})

    assert await socket.hear() == {"kind": "FillBooked", "seq": 9, "data": {"quantity": 3}}


async def test_stranger_hears_nothing_of_the_account(committed_world) -> None:
    socket, _ = await opened_socket(committed_world.stranger, path=f"/live/?tenant={committed_world.account.tenant_id}")
    assert (await socket.hear())["kind"] == "hello"

    await push(committed_world, seq=9)

    assert await socket.receive_nothing(timeout=0.3)
    await socket.close()


async def test_nobody_is_closed_with_4401(committed_world) -> None:
    socket = Socket()
    await socket.open()

    assert await socket.close_code() == 4401


async def test_page_of_another_origin_cannot_connect(committed_world) -> None:
    client = await sync_to_async(opened_home)(committed_world.owner)
    routed = application.application_mapping["websocket"].application
    guarded = OriginValidator(routed, ["testserver"])  # the suite's own settings allow every host

    for origin, answer in (("https://elsewhere.example", "websocket.close"), ("http://testserver", "websocket.accept")):
        socket = Socket(cookie=cookie_of(client), origin=origin, app=guarded)
        assert (await socket.open())["type"] == answer
        await socket.close()


async def test_member_who_lost_the_place_is_closed_with_4403(committed_world, owner_socket, monkeypatch) -> None:
    socket, _ = owner_socket
    await socket.hear()

    def leave() -> None:
        with tenant_scope(committed_world.account.tenant_id):
            Membership.objects.filter(user=committed_world.owner).delete()

    await sync_to_async(leave)()
    await revoke(committed_world.owner)

    assert await socket.close_code() == 4403


async def test_logging_out_closes_the_socket_with_4401(committed_world, owner_socket) -> None:
    socket, client = owner_socket
    await socket.hear()

    await sync_to_async(client.post)("/accounts/logout/")

    assert await socket.close_code() == 4401


async def test_socket_of_a_session_that_has_lasted_long_enough_is_closed_with_4401(
    committed_world, owner_socket, settings
) -> None:
    socket, _ = owner_socket
    await socket.hear()

    settings.ARUN_SESSION_SECONDS = 0
    await revoke(committed_world.owner)

    assert await socket.close_code() == 4401


async def test_another_persons_log_out_closes_nothing(committed_world, owner_socket) -> None:
    socket, _ = owner_socket
    await socket.hear()

    await revoke(committed_world.viewer)
    await revoke(committed_world.owner)  # the owner's own session still stands

    assert await socket.receive_nothing(timeout=1.2)


async def test_disabled_person_is_found_by_the_regular_check(committed_world, monkeypatch) -> None:
    monkeypatch.setattr(consumers, "BEAT_SECONDS", 0.05)
    socket, _ = await opened_socket(committed_world.owner)
    assert (await socket.hear())["kind"] == "hello"
    assert {(await socket.hear())["kind"] for _ in range(3)} == {"tick", "beat"}

    await sync_to_async(User.objects.filter(pk=committed_world.owner.pk).update)(is_active=False)

    while (message := await socket.receive_output(timeout=5))["type"] != "websocket.close":
        pass
    assert message["code"] == 4401


async def test_large_message_ends_the_socket(owner_socket) -> None:
    socket, _ = owner_socket
    await socket.hear()

    await socket.say("x" * 1025)

    assert await socket.close_code() == 4413


async def test_flood_of_messages_ends_the_socket(owner_socket) -> None:
    socket, _ = owner_socket
    await socket.hear()

    for _ in range(11):
        await socket.say("{}")

    assert await socket.close_code() == 4429


async def test_message_that_names_a_group_joins_nothing(committed_world, owner_socket) -> None:
    socket, _ = owner_socket
    await socket.hear()

    await socket.say(json.dumps({"type": "subscribe", "group": live_group(committed_world.stranger.pk)}))
    await get_channel_layer().group_send(
        live_group(committed_world.stranger.pk), {"type": "live.event", "seq": 1, "kind": "Told", "data": {}}
    )

    assert await socket.receive_nothing(timeout=0.3)


async def revoke(user: User) -> None:
    from apps.common.keys import user_group

    await get_channel_layer().group_send(user_group(user.pk), {"type": "session.revoke"})
