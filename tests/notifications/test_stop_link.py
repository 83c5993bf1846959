"""The link in a danger mail: one page, one button, one bot, and nothing but a stop."""

import logging
import re
from datetime import timedelta
from uuid import uuid4

import pytest
import redis
from django.core import signing
from django.test import Client

from apps.accounts.models import User
from apps.common import limits
from apps.common.db import tenant_scope
from apps.common.models import AuditEntry, WorkItem
from apps.engine.model.choices import RunLevel
from apps.notifications import stop_link as links
from apps.notifications.models import Notification
from apps.notifications.stop_link import stop_link_read, stop_link_url
from apps.tenants.models import Membership, Tenant
from apps.trading.models import Bot, StopRequest
from apps.trading.services.stops import stop_drain
from tests.kit.factories.trading import TradingTenant, make_trading_tenant, set_level

pytestmark = pytest.mark.django_db


@pytest.fixture
def asha(db, valkey, clock, settings) -> TradingTenant:
    settings.PUBLIC_URL = ""
    return make_trading_tenant()


def path_for(tenant: TradingTenant, **changes) -> str:
    ids = {"tenant_id": tenant.tenant_id, "bot_id": tenant.bot_id, "user_id": tenant.user_id, **changes}
    return stop_link_url(**ids)


def levels(tenant: TradingTenant) -> list[int]:
    """Return the levels from the start on: a new bot is stopped first."""
    with tenant_scope(tenant.tenant_id):
        return list(StopRequest.objects.order_by("epoch").values_list("level", flat=True))[1:]


def pressed(path: str, **data) -> int:
    return Client(enforce_csrf_checks=True).post(path, data).status_code


# --- what it does -----------------------------------------------------------------------------------------------------


def test_following_the_link_changes_nothing_however_often(asha):
    for method in ("get", "head", "get", "options"):
        getattr(Client(), method)(path_for(asha))

    assert levels(asha) == [RunLevel.RUNNING]
    with tenant_scope(asha.tenant_id):
        assert not Notification.objects.exists()


def test_press_stops_the_bot_without_a_log_in_or_a_cookie(asha):
    path = path_for(asha)
    page = Client().get(path).content.decode()
    (request_id,) = re.findall(r'name="request_id" value="([0-9a-f-]{36})"', page)

    response = Client(enforce_csrf_checks=True).post(path, {"request_id": request_id})

    assert (response.status_code, response["Location"]) == (302, path)
    assert levels(asha) == [RunLevel.RUNNING, RunLevel.STOP]
    with tenant_scope(asha.tenant_id):
        stop = StopRequest.objects.order_by("-epoch").first()
        entry = AuditEntry.objects.filter(action="run_level.set").order_by("id").last()
        assert WorkItem.objects.filter(kind="stop", object_id=stop.pk).exists()
        assert Notification.objects.get(kind="StoppedByLink").data["stop"] == str(stop.pk)
    assert (entry.actor, entry.data["reason"]) == (f"user:{asha.user_id}", "stop link in a mail")
    assert "Stopping Bot" in Client().get(path).content.decode()


def test_page_says_when_the_stop_is_proven(asha):
    path = path_for(asha)
    pressed(path)
    with tenant_scope(asha.tenant_id):
        stop_drain(StopRequest.objects.order_by("-epoch").first().pk)

    assert "Bot is stopped" in Client().get(path).content.decode()
    assert Client().get(path, headers={"HX-Request": "true"}).content.decode().strip().startswith("<h1>Bot is stopped")


def test_pressing_again_and_replaying_the_form_adds_nothing(asha):
    path, form = path_for(asha), {"request_id": str(uuid4())}

    for _time in range(3):
        assert pressed(path, **form) == 302

    assert levels(asha) == [RunLevel.RUNNING, RunLevel.STOP]


def test_form_sent_again_after_a_new_start_does_not_stop_and_a_new_press_does(asha):
    path, form = path_for(asha), {"request_id": str(uuid4())}
    pressed(path, **form)
    set_level(asha, RunLevel.RUNNING)

    pressed(path, **form)
    assert levels(asha)[-1] == RunLevel.RUNNING

    pressed(path, request_id=str(uuid4()))
    assert levels(asha)[-1] == RunLevel.STOP


def test_mangled_form_still_stops(asha):
    assert pressed(path_for(asha), request_id="x") == 302

    assert levels(asha)[-1] == RunLevel.STOP


@pytest.mark.parametrize("level", [RunLevel.STOP, RunLevel.FLATTEN, RunLevel.REVOKE])
def test_stricter_level_is_never_replaced(asha, level):
    set_level(asha, level)

    pressed(path_for(asha))

    assert levels(asha) == [RunLevel.RUNNING, level]


@pytest.mark.parametrize(
    "form",
    [{"level": "0"}, {"slug": "start"}, {"scope": "tenant"}, {"bot_id": "x"}],
    ids=lambda form: next(iter(form)),
)
def test_form_cannot_ask_for_anything_else(asha, form):
    pressed(path_for(asha), **form)

    with tenant_scope(asha.tenant_id):
        stop = StopRequest.objects.order_by("-epoch").first()
    assert (stop.level, stop.scope, stop.scope_id) == (RunLevel.STOP, "bot", asha.bot_id)


# --- whom it is for ---------------------------------------------------------------------------------------------------


def test_link_ends_after_a_day(asha, clock):
    path = path_for(asha)
    clock.advance(hours=23, minutes=59)
    assert Client().get(path).status_code == 200

    clock.advance(minutes=1)

    assert Client().get(path).status_code == 404
    assert pressed(path) == 404
    assert levels(asha) == [RunLevel.RUNNING]


def forged(asha: TradingTenant) -> dict[str, str]:
    token = path_for(asha).removeprefix("/stop/").rstrip("/")
    value, signature = token.rsplit(".", 1)
    other = path_for(asha, bot_id=uuid4()).removeprefix("/stop/").rstrip("/")
    return {
        "cut": token[:-3],
        "no signature": value,
        "another's signature": f"{value}.{other.rsplit('.', 1)[1]}",
        "other content": f"{other.rsplit('.', 1)[0]}.{signature}",
        "other purpose": signing.Signer(salt="other", sep=".").sign(value),
        "other key": signing.Signer(key="k" * 50, salt=links._SALT, sep=".").sign(value),
        "short": links._signer().sign("YWJj"),
        "not base64": links._signer().sign("%%%"),
        "an id": str(asha.bot_id),
    }


@pytest.mark.parametrize(
    "kind",
    [
        *("cut", "no signature", "another's signature", "other content", "other purpose", "other key", "short"),
        *("not base64", "an id"),
    ],
)
def test_forged_token_gets_one_answer_and_does_nothing(asha, kind):
    path = f"/stop/{forged(asha)[kind]}/"

    assert stop_link_read(forged(asha)[kind]) is None
    assert Client().get(path).content == Client().get(f"/stop/{uuid4()}/").content
    assert pressed(path) == 404
    assert levels(asha) == [RunLevel.RUNNING]


def _remove(asha: TradingTenant) -> None:
    Membership.objects.filter(user_id=asha.user_id).delete()


def _make_viewer(asha: TradingTenant) -> None:
    Membership.objects.filter(user_id=asha.user_id).update(role=Membership.Role.VIEWER)


def _block(asha: TradingTenant) -> None:
    User.objects.filter(pk=asha.user_id).update(is_active=False)


def _close(asha: TradingTenant) -> None:
    Tenant.objects.filter(pk=asha.tenant_id).update(status=Tenant.Status.CLOSED)


def _archive(asha: TradingTenant) -> None:
    Bot.objects.filter(pk=asha.bot_id).update(archived_at="2026-11-16T00:00:00Z")


@pytest.mark.parametrize("change", [_remove, _make_viewer, _block, _close, _archive])
def test_person_who_may_not_stop_it_any_more_gets_nothing(asha, change):
    path = path_for(asha)
    with tenant_scope(asha.tenant_id):
        change(asha)

    assert Client().get(path).status_code == 404
    assert pressed(path) == 302
    assert levels(asha) == [RunLevel.RUNNING]


def test_bot_of_another_tenant_cannot_be_named(asha):
    ravi = make_trading_tenant(name="Ravi")

    path = path_for(asha, bot_id=ravi.bot_id)

    assert Client().get(path).status_code == 404
    pressed(path)
    assert levels(ravi) == levels(asha) == [RunLevel.RUNNING]


def test_somebody_who_is_signed_in_elsewhere_can_use_it(asha):
    ravi = make_trading_tenant(name="Ravi")
    client = Client()
    client.force_login(User.objects.get(pk=ravi.user_id), backend="django.contrib.auth.backends.ModelBackend")

    assert client.get(path_for(asha)).status_code == 200
    assert client.post(path_for(asha)).status_code == 302

    assert levels(asha)[-1] == RunLevel.STOP
    assert levels(ravi) == [RunLevel.RUNNING]


# --- limits and traces ------------------------------------------------------------------------------------------------


def test_burst_of_presses_is_slowed_down(asha):
    path = path_for(asha)

    answers = [pressed(path) for _press in range(12)]

    assert answers == [302] * 10 + [429] * 2
    assert levels(asha) == [RunLevel.RUNNING, RunLevel.STOP]


def test_stop_works_while_redis_is_away(asha, monkeypatch):
    class Away:
        def eval(self, *_arguments: object) -> None:
            raise redis.ConnectionError

    monkeypatch.setattr(limits, "redis_client", Away)

    assert pressed(path_for(asha)) == 302
    assert levels(asha)[-1] == RunLevel.STOP


def test_token_stands_in_no_log_line_and_goes_to_no_other_site(asha, caplog):
    path = path_for(asha)
    token = path.split("/")[2]

    with caplog.at_level(logging.INFO):
        response = Client().get(path)
        pressed(path)

    assert "/stop/<str:token>/" in caplog.text
    assert token not in caplog.text
    assert token[:40] not in caplog.text
    assert response["Referrer-Policy"] == "no-referrer"
    assert response["X-Robots-Tag"] == "noindex"
    assert "no-store" in response["Cache-Control"]
    assert token not in response.content.decode()


def test_link_says_when_it_ends(asha, clock):
    token = path_for(asha).split("/")[2]

    assert stop_link_read(token).ends_at == clock.at + timedelta(hours=24)
