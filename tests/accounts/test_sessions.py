"""How long a log-in lasts."""

import pytest
from django.test import Client

from tests.kit.factories.people import make_tenant, make_user

pytestmark = pytest.mark.usefixtures("db", "valkey")
MINUTE = 60
HOUR = 3600


def signed_in(user) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def customer(clock):
    user = make_user()
    make_tenant(user)
    return signed_in(user)


@pytest.fixture
def staff(clock):
    return signed_in(make_user(is_staff=True, is_superuser=True))


def is_in(client: Client) -> bool:
    return client.get("/accounts/2fa/").status_code == 200


def test_customer_is_not_logged_out_for_doing_nothing(customer, clock) -> None:
    clock.advance(seconds=11 * HOUR + 59 * MINUTE)

    assert is_in(customer)


def test_customer_is_logged_out_after_twelve_hours_however_busy(customer, clock) -> None:
    for _ in range(12):
        assert is_in(customer)
        clock.advance(seconds=HOUR)

    assert not is_in(customer)
    assert "_auth_user_id" not in customer.session


def test_staff_is_logged_out_after_thirty_minutes_without_a_click(staff, clock) -> None:
    clock.advance(seconds=30 * MINUTE)

    assert not is_in(staff)


def test_staff_that_goes_on_stays_for_twelve_hours(staff, clock) -> None:
    for _ in range(24):
        assert is_in(staff)
        clock.advance(seconds=29 * MINUTE)

    assert is_in(staff)
    clock.advance(seconds=29 * MINUTE)
    assert not is_in(staff)


def test_what_a_page_asks_for_by_itself_is_no_click(clock) -> None:
    user = make_user(is_staff=True)
    make_tenant(user)
    client = signed_in(user)

    for _ in range(2):
        clock.advance(seconds=20 * MINUTE)
        client.get("/home/part/bots/")

    assert not is_in(client)


def test_page_that_asks_by_itself_is_told_to_log_in(customer, clock) -> None:
    clock.advance(seconds=12 * HOUR)

    answer = customer.get("/home/part/bots/", headers={"HX-Request": "true"})

    assert (answer.status_code, answer["HX-Redirect"]) == (204, "/accounts/login/")


def test_socket_of_a_session_that_is_over_is_closed(customer, clock) -> None:
    from importlib import import_module

    from django.conf import settings
    from django.contrib.auth import get_user

    from apps.accounts.sessions import session_is_over

    store = import_module(settings.SESSION_ENGINE).SessionStore(customer.session.session_key)
    user = get_user(type("Request", (), {"session": store})())

    assert not session_is_over(store, user)
    clock.advance(seconds=12 * HOUR)
    assert session_is_over(store, user)
