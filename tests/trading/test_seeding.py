"""The demo tenant as an installation makes it."""

from datetime import timedelta

import pytest

from apps.accounts.models import User
from apps.common import clock
from apps.common.db import tenant_scope
from apps.common.models import AuditEntry
from apps.subscriptions import seeding as plan_seeding
from apps.subscriptions.models import Subscription
from apps.subscriptions.selectors import limits_now
from apps.tenants.selectors import memberships_of_user
from apps.trading.models import Bot
from apps.trading.seeding import seed
from apps.trading.selectors import instrument_places
from tests.kit import market as market_seeding

pytestmark = pytest.mark.django_db


@pytest.fixture
def demo(settings):
    settings.ARUN_DEMO_EMAIL, settings.ARUN_DEMO_PASSWORD = "demo@example.test", "a long test password"
    settings.ARUN_STAFF_EMAIL = "staff@example.test"
    plan_seeding.seed()
    market_seeding.seed()
    seed()
    (place,) = memberships_of_user(User.objects.get(email="demo@example.test").pk)
    return place.tenant_id


def test_demo_bot_watches_no_more_shares_than_its_plan_allows(demo):
    with tenant_scope(demo):
        places = instrument_places()

    assert places.limit is not None
    assert 3 < places.used <= places.limit


def test_second_seed_changes_nothing(demo):
    with tenant_scope(demo):
        before = Subscription.objects.values().get(), Bot.objects.values().get(), AuditEntry.objects.count()
    seed()

    with tenant_scope(demo):
        assert before == (Subscription.objects.values().get(), Bot.objects.values().get(), AuditEntry.objects.count())


def test_plan_that_staff_took_away_is_not_given_back(demo):
    with tenant_scope(demo):
        Subscription.objects.update(period_ends_at=clock.now() - timedelta(days=1))
    seed()

    with tenant_scope(demo):
        assert limits_now().plan_code == "free"
        assert AuditEntry.objects.filter(action="subscription.granted").count() == 1
