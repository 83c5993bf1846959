import re

import pytest

from apps.common.db import tenant_scope
from apps.common.models import AuditEntry
from apps.engine.model.choices import RunLevel
from apps.notifications.models import Notification
from apps.trading.models import OrderEvent, OrderIntent
from tests.kit.factories.people import make_people, make_user
from tests.kit.factories.trading import make_trading_tenant, set_level
from tests.web.world import full_world

REASON = "Ticket 4711: the bot does not buy"


@pytest.fixture
def people(committed_db):
    return make_people()


@pytest.fixture
def staff(client, committed_db):
    person = make_user("staff@arun.example", is_staff=True)
    client.force_login(person)
    return person


def _audit(tenant, prefix="staff."):
    with tenant_scope(tenant.id):
        return list(
            AuditEntry.objects.filter(action__startswith=prefix)
            .order_by("at")
            .values_list("action", "actor", "data__reason")
        )


def _open(client, tenant, reason=REASON):
    return client.post(f"/staff/tenants/{tenant.id}/open/", {"reason": reason})


ADDRESSES = ["/staff/", "/staff/fleet/", "/staff/accounts/user/", "/staff/tenants/{}/"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_page_sends_a_stranger_to_the_log_in(client, people, address):
    response = client.get(address.format(people.tenant.id))

    assert response.status_code == 302
    assert "login" in response["Location"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_page_shows_nothing_to_a_customer(client, people, address):
    client.force_login(people.owner)

    response = client.get(address.format(people.tenant.id), follow=True)

    assert (
        response.status_code == 403
        or "/staff/" not in response.request["PATH_INFO"]
        or b"Sharma" not in response.content
    )
    assert _audit(people.tenant) == []


def test_customer_cannot_open_another_account(client, people):
    client.force_login(people.owner)

    response = _open(client, people.other_tenant)

    assert response.status_code in {302, 403}
    assert _audit(people.other_tenant) == []


def test_index_leads_to_the_fleet_with_the_global_tables_beside_it(client, staff):
    response = client.get("/staff/", follow=True)

    text = response.content.decode()
    assert response.status_code == 200
    assert response.request["PATH_INFO"] == "/staff/fleet/"
    assert re.findall(r'href="(/staff/[a-z]+/[a-z]+/)"', text) == [
        "/staff/accounts/user/",
        "/staff/subscriptions/plan/",
        "/staff/market/instrument/",
        "/staff/market/marketday/",
        "/staff/trading/platformstoprequest/",
        "/staff/common/platformauditentry/",
        "/staff/common/heartbeat/",
    ]
    assert "/add/" not in text


def test_user_page_shows_no_password_and_cannot_be_saved(client, staff, people):
    address = f"/staff/accounts/user/{people.owner.pk}/change/"

    shown = client.get(address)
    saved = client.post(address, {"email": "x@example.com", "is_staff": "on"})
    people.owner.refresh_from_db()

    assert shown.status_code == 200
    assert people.owner.password not in shown.content.decode()
    assert saved.status_code == 403
    assert people.owner.is_staff is False


@pytest.mark.parametrize("verb", ["add/", "{}/delete/"])
def test_users_cannot_be_added_or_deleted(client, staff, people, verb):
    assert client.get(f"/staff/accounts/user/{verb.format(people.owner.pk)}").status_code == 403


def test_fleet_shows_every_tenant(client, staff, people):
    text = client.get("/staff/fleet/").content.decode()

    assert "Sharma family" in text
    assert "Iyer family" in text


def test_fleet_search_finds_by_name(client, staff, people):
    text = client.get("/staff/fleet/?q=iyer").content.decode()

    assert "Iyer family" in text
    assert "Sharma family" not in text


def test_tenant_page_asks_for_a_reason_first(client, staff, people):
    response = client.get(f"/staff/tenants/{people.tenant.id}/")

    text = response.content.decode()
    assert response.status_code == 200
    assert "Reason" in text
    assert people.owner.email not in text
    assert _audit(people.tenant) == []


def test_tenant_page_with_a_reason_shows_the_account(client, staff, people):
    opened = _open(client, people.tenant)
    shown = client.get(opened["Location"])

    text = shown.content.decode()
    assert opened.status_code == 302
    assert people.owner.email in text
    assert "membership.added" in text
    assert people.stranger.email not in text
    assert _audit(people.tenant) == [
        ("staff.access_opened", f"staff:{staff.pk}", REASON),
        ("staff.viewed", f"staff:{staff.pk}", REASON),
    ]
    assert _audit(people.other_tenant) == []


def test_opening_an_account_tells_the_customer(client, staff, people):
    _open(client, people.tenant)

    with tenant_scope(people.tenant.id):
        assert [REASON in row.text for row in Notification.objects.all()] == [True]


def test_reason_for_one_account_opens_no_other(client, staff, people):
    _open(client, people.tenant)

    text = client.get(f"/staff/tenants/{people.other_tenant.id}/").content.decode()

    assert people.stranger.email not in text
    assert _audit(people.other_tenant) == []


def test_access_ends_after_a_quarter_of_an_hour(client, staff, people, clock):
    _open(client, people.tenant)
    clock.advance(minutes=15)

    text = client.get(f"/staff/tenants/{people.tenant.id}/").content.decode()

    assert people.owner.email not in text
    assert [action for action, _, _ in _audit(people.tenant)] == ["staff.access_opened"]


@pytest.mark.parametrize("reason", ["", "too short", "x" * 201])
def test_opening_without_a_proper_reason_is_refused(client, staff, people, reason):
    response = _open(client, people.tenant, reason)

    assert response.status_code == 422
    assert _audit(people.tenant) == []


def test_unknown_tenant_is_not_found(client, staff):
    address = "/staff/tenants/00000000-0000-7000-8000-000000000000/"

    assert client.get(address).status_code == 404
    assert client.post(f"{address}open/", {"reason": REASON}).status_code == 404


@pytest.mark.parametrize("address", ["fleet", "accounts/user", "common/heartbeat", "trading/platformstoprequest"])
def test_pages_have_the_staff_policy_and_load_from_this_host(client, staff, address):
    response = client.get(f"/staff/{address}/")

    assert response.status_code == 200

    assert "'unsafe-eval'" in response["Content-Security-Policy"]
    assert re.findall(r"(?:src|href)=\"https?://", response.content.decode()) == []


def test_pages_show_a_trading_account(client, staff, valkey):
    world = full_world()
    fleet = client.get("/staff/fleet/?q=meera").content.decode()
    client.post(f"/staff/tenants/{world.account.tenant_id}/open/", {"reason": REASON})

    text = client.get(f"/staff/tenants/{world.account.tenant_id}/").content.decode()

    with tenant_scope(world.account.tenant_id):
        orders = {order.pk: order for order in OrderIntent.objects.all()}
        events = OrderEvent.objects.filter(intent_id=world.filled).count()
    assert "Bot on paper" in fleet
    assert "RUNNING" in fleet
    assert re.search(r"<td>1</td>\s*<td>1</td>\s*<td>0</td>", fleet)  # one open order, of unknown outcome
    assert orders[world.filled].client_order_id in text
    assert orders[world.unknown].client_order_id in text
    assert events > 2
    assert text.count("→") >= events
    assert "UNKNOWN" in text


def test_fleet_shows_a_stop_that_is_not_acknowledged(client, staff):
    account = make_trading_tenant(name="Asha", running=True)
    set_level(account, RunLevel.STOP)

    assert "STOP (not acknowledged yet)" in client.get("/staff/fleet/").content.decode()
