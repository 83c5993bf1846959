from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from apps.common.db import tenant_scope
from apps.subscriptions.entitlements import FREE, SubscriptionFacts, limits_for
from apps.subscriptions.models import Plan, Subscription
from apps.subscriptions.seeding import seed
from apps.subscriptions.selectors import limits_now, plan_limits, plans_sold
from tests.kit.factories.people import make_people, make_tenant

NOW = datetime(2026, 11, 16, 4, 30, tzinfo=UTC)
PRO = plan_limits(Plan(code="pro", max_bots=5, max_instruments=20, channels=["email"], highest_mode="auto"))
HOUR = timedelta(hours=1)
CASES = [
    ("active", NOW + HOUR, "pro"),
    ("active", NOW, "free"),
    ("active", NOW - HOUR, "free"),
    ("active", None, "free"),
    ("trialing", NOW + HOUR, "pro"),
    ("trialing", NOW - HOUR, "free"),
    ("past_due", NOW + HOUR, "pro"),
    ("past_due", NOW - timedelta(days=6, hours=23), "pro"),
    ("past_due", NOW - timedelta(days=7), "free"),
    ("free", NOW + HOUR, "free"),
    ("incomplete", NOW + HOUR, "free"),
    ("incomplete_expired", NOW + HOUR, "free"),
    ("unpaid", NOW + HOUR, "free"),
    ("paused", NOW + HOUR, "free"),
    ("canceled", NOW + HOUR, "free"),
    ("a word nobody knows", NOW + HOUR, "free"),
]


@pytest.mark.parametrize(("status", "ends_at", "plan"), CASES)
def test_limits_follow_status_and_period(status, ends_at, plan):
    facts = SubscriptionFacts(limits=PRO, status=status, period_ends_at=ends_at)

    assert limits_for(facts, now=NOW).plan_code == plan


def test_cases_name_every_status():
    assert {status for status, _, _ in CASES} >= set(Subscription.Status.values)


def test_limits_without_a_subscription_are_the_free_ones():
    assert limits_for(None, now=NOW) == FREE


@pytest.mark.django_db
def test_seed_makes_the_published_plans_once():
    first, second = seed(), seed()

    rows = {plan.code: plan for plan in Plan.objects.all()}
    assert (first, second) == (4, 0)
    assert [(plan.code, plan.price_monthly, plan.price_yearly) for plan in Plan.objects.all()] == [
        ("free", Decimal(0), Decimal(0)),
        ("pro", Decimal(999), Decimal(9999)),
        ("premium", Decimal(2499), Decimal(24999)),
        ("enterprise", Decimal(10000), None),
    ]
    assert (rows["premium"].max_bots, rows["premium"].max_instruments) == (20, 200)
    assert (rows["premium"].max_live_connections, rows["premium"].max_backtests_per_day) == (4, 500)
    assert (rows["pro"].max_api_keys, rows["pro"].max_seats) == (1, 2)
    assert rows["enterprise"].max_bots is None


@pytest.mark.django_db
def test_seed_leaves_what_staff_changed():
    seed()
    Plan.objects.filter(code="pro").update(price_monthly=1)

    seed()

    assert Plan.objects.get(code="pro").price_monthly == 1


@pytest.mark.django_db
def test_only_what_exists_is_sold():
    seed()

    assert [plan.code for plan in plans_sold()] == ["free"]


@pytest.mark.django_db
def test_free_row_and_built_in_free_limits_agree():
    seed()

    assert plan_limits(Plan.objects.get(code="free")) == FREE


@pytest.mark.django_db
def test_limits_now_of_a_new_tenant_are_the_free_ones():
    tenant = make_tenant()

    with tenant_scope(tenant.id):
        assert limits_now() == FREE


@pytest.mark.django_db
def test_limits_now_follow_the_scopes_own_subscription(clock):
    seed()
    people = make_people()
    with tenant_scope(people.tenant.id):
        Subscription.objects.create(
            plan_id="pro", status="active", period_ends_at=clock.at + HOUR, tenant_id=people.tenant.id
        )
        ours = limits_now()
        clock.advance(hours=1)
        lapsed = limits_now()
    with tenant_scope(people.other_tenant.id):
        theirs = limits_now()

    assert (ours.plan_code, ours.max_bots) == ("pro", 5)
    assert lapsed.plan_code == "free"
    assert theirs.plan_code == "free"
