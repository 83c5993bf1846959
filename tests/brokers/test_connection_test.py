"""Test connection: one question at a time, asked in a worker, and an answer that comes too late is none."""

import threading
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection as database

from apps.brokers.choices import SessionState, TestState, Venue
from apps.brokers.errors import (
    BrokerNotPermittedError,
    BrokerSessionExpiredError,
    BrokerUnavailableError,
    ConnectionInUseError,
    TooManyTestsError,
)
from apps.brokers.models import BrokerConnection, ConnectionTest
from apps.brokers.port import SessionStatus
from apps.brokers.selectors import TEST_SECONDS, connection_test_newest, is_given_up
from apps.brokers.services import (
    MOST_TESTS_AN_HOUR,
    TEST_REQUESTED,
    connection_create,
    connection_test_request,
    paper_connection_change,
)
from apps.brokers.testing import connection_test_run
from apps.common.db import database_now, tenant_scope
from apps.common.models import OutboxEvent
from tests.kit.broker import FakeBroker
from tests.kit.factories.people import make_tenant
from tests.kit.factories.trading import make_trading_tenant


@dataclass(frozen=True)
class Account:
    tenant_id: object
    connection_id: object

    def request(self) -> ConnectionTest:
        with tenant_scope(self.tenant_id):
            return connection_test_request(connection_id=self.connection_id, actor="user:test")

    def newest(self) -> ConnectionTest:
        with tenant_scope(self.tenant_id):
            return connection_test_newest(self.connection_id)

    def run(self, test: ConnectionTest, make_reads) -> bool:
        return connection_test_run(tenant_id=self.tenant_id, test_id=test.pk, make_reads=make_reads)

    def age(self, test: ConnectionTest, seconds: float) -> None:
        with tenant_scope(self.tenant_id):
            ConnectionTest.objects.filter(pk=test.pk).update(requested_at=database_now() - timedelta(seconds=seconds))


def make_account() -> Account:
    tenant = make_tenant()
    with tenant_scope(tenant.pk):
        made = connection_create(label="Paper", venue=Venue.SIM, opening_cash=Decimal(50_000), actor="user:test")
    return Account(tenant_id=tenant.pk, connection_id=made.pk)


@pytest.fixture
def account(db) -> Account:
    return make_account()


def failing(error: Exception):
    class Reads:
        def session_status(self):
            raise error

    return lambda facts: Reads()


def answering(status: SessionStatus):
    class Reads:
        def session_status(self):
            return status

    return lambda facts: Reads()


def test_good_answer_is_written_down_with_the_money(account) -> None:
    test = account.request()

    assert account.run(test, FakeBroker(cash=Decimal("48000.50")).reads)

    found = account.newest()
    assert (found.state, found.session_state, found.deployable) == ("passed", "ALIVE", Decimal("48000.50"))
    assert found.finished_at is not None
    with tenant_scope(account.tenant_id):
        assert BrokerConnection.objects.get().session_state == SessionState.ALIVE


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BrokerUnavailableError("away"), "broker_unavailable"),
        (BrokerSessionExpiredError("over"), "broker_session_expired"),
        (BrokerNotPermittedError("no"), "broker_not_permitted"),
    ],
)
def test_error_is_written_down_by_its_code_and_without_its_text(account, error, code) -> None:
    test = account.request()

    assert not account.run(test, failing(error))

    found = account.newest()
    assert (found.state, found.problem, found.deployable) == ("failed", code, None)


@pytest.mark.parametrize("status", [status for status in SessionStatus if status is not SessionStatus.ALIVE])
def test_session_that_is_not_alive_is_no_pass(account, status) -> None:
    test = account.request()

    assert not account.run(test, answering(status))

    assert (account.newest().state, account.newest().session_state) == ("failed", status.value)


def test_request_wakes_a_worker_once(account) -> None:
    first, second = account.request(), account.request()

    assert first.pk == second.pk
    with tenant_scope(account.tenant_id):
        assert OutboxEvent.objects.filter(kind=TEST_REQUESTED).count() == 1


def test_request_after_the_bound_is_a_new_one_and_ends_the_old_one(account) -> None:
    old = account.request()
    account.age(old, TEST_SECONDS)

    new = account.request()

    with tenant_scope(account.tenant_id):
        old.refresh_from_db()
        assert (old.state, old.problem) == ("failed", "no_answer")
    assert new.pk != old.pk
    assert account.newest().state == TestState.WAITING


def test_test_is_given_up_after_the_bound_and_not_before(account) -> None:
    test = account.request()
    with tenant_scope(account.tenant_id):
        assert not is_given_up(account.newest())

    account.age(test, TEST_SECONDS)

    with tenant_scope(account.tenant_id):
        assert is_given_up(account.newest())


def test_answer_to_a_test_that_was_ended_is_dropped(account) -> None:
    old = account.request()
    account.age(old, TEST_SECONDS)
    account.request()

    assert not account.run(old, FakeBroker().reads)

    with tenant_scope(account.tenant_id):
        old.refresh_from_db()
        assert (old.state, old.deployable) == ("failed", None)
        assert BrokerConnection.objects.get().session_state == SessionState.UNKNOWN


def test_finished_test_is_not_asked_again(account) -> None:
    test = account.request()
    account.run(test, FakeBroker(cash=Decimal(1)).reads)

    account.run(test, FakeBroker(cash=Decimal(2)).reads)

    assert account.newest().deployable == Decimal(1)


def test_nobody_asks_without_end(account) -> None:
    for _ in range(MOST_TESTS_AN_HOUR):
        account.run(account.request(), FakeBroker().reads)

    with pytest.raises(TooManyTestsError):
        account.request()
    with tenant_scope(account.tenant_id):
        assert ConnectionTest.objects.count() == MOST_TESTS_AN_HOUR


def test_test_of_another_tenants_connection_does_not_exist(account, db) -> None:
    stranger = make_account()
    test = account.request()

    with tenant_scope(stranger.tenant_id), pytest.raises(BrokerConnection.DoesNotExist):
        connection_test_request(connection_id=account.connection_id, actor="user:test")
    assert not connection_test_run(tenant_id=stranger.tenant_id, test_id=test.pk, make_reads=FakeBroker().reads)
    assert account.newest().state == TestState.WAITING


def test_many_at_once_ask_one_question(committed_db, valkey) -> None:
    account = make_account()
    found: list[object] = []
    gate = threading.Barrier(10)

    def press() -> None:
        gate.wait()
        found.append(account.request().pk)
        database.close()

    rivals = [threading.Thread(target=press) for _ in range(10)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join()

    assert (len(found), len(set(found))) == (10, 1)


# --- another paper account -------------------------------------------------------------------------------------------


def change(account: Account, **changes: object) -> BrokerConnection:
    wanted = {"venue": Venue.SIM, "opening_cash": Decimal(50_000), **changes}
    with tenant_scope(account.tenant_id):
        return paper_connection_change(connection_id=account.connection_id, actor="user:test", **wanted)


def test_same_wish_leaves_the_account_and_its_test(account) -> None:
    account.run(account.request(), FakeBroker().reads)
    with tenant_scope(account.tenant_id):
        before = BrokerConnection.objects.get().account_ref

    assert change(account, opening_cash=Decimal("50000.00")).account_ref == before
    assert account.newest().state == TestState.PASSED


@pytest.mark.parametrize("changes", [{"opening_cash": Decimal(75_000)}, {"venue": Venue.NSE}])
def test_another_size_or_venue_is_a_fresh_account_that_nobody_tested(account, changes) -> None:
    account.run(account.request(), FakeBroker().reads)
    with tenant_scope(account.tenant_id):
        before = BrokerConnection.objects.get().account_ref

    changed = change(account, **changes)

    assert changed.account_ref != before
    assert (changed.session_state, changed.session_checked_at) == ("UNKNOWN", None)
    assert account.newest() is None


def test_account_that_a_bot_uses_stays(db) -> None:
    trading = make_trading_tenant()
    account = Account(tenant_id=trading.tenant_id, connection_id=trading.connection_id)

    with pytest.raises(ConnectionInUseError):
        change(account, opening_cash=Decimal(1_000_000))


def test_task_of_a_connection_that_is_gone_does_nothing(account) -> None:
    assert not connection_test_run(tenant_id=account.tenant_id, test_id=uuid4(), make_reads=FakeBroker().reads)
