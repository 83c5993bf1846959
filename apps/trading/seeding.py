"""The demo tenant: a paper account on the simulated market with one bot, and a member of the staff to look at it."""

from datetime import UTC, datetime
from decimal import Decimal

from allauth.account.models import EmailAddress
from django.conf import settings

from apps.accounts.models import User
from apps.brokers.choices import Venue
from apps.brokers.services import connection_create
from apps.common import audit
from apps.common.db import tenant_scope
from apps.engine.model.choices import Timeframe
from apps.engine.model.params import RiskLimits, StrategyParams
from apps.market.models import Instrument
from apps.subscriptions.models import Subscription
from apps.subscriptions.services import subscription_grant
from apps.tenants.selectors import memberships_of_user
from apps.tenants.services import tenant_create
from apps.trading.models import Bot
from apps.trading.services.bots import bot_create

DEMO_CASH = Decimal(100_000)
DEMO_PARAMS = StrategyParams(
    timeframe=Timeframe.S15,
    profit_target_percent=Decimal("1.5"),
    stop_loss_percent=Decimal(1),
    cooldown_candles=1,
    max_entries_per_day=50,
    size=Decimal(10),
)
DEMO_PLAN = "pro"  # the free plan has fewer shares than the simulated market
DEMO_PLAN_UNTIL = datetime(2100, 1, 1, tzinfo=UTC)
DEMO_LIMITS = RiskLimits(max_open_positions=8, max_orders_per_day=1000)


def seed() -> None:
    """Make the demo tenant where the installation names its log-in; a tenant that is there stays as it is."""
    if not (settings.ARUN_DEMO_EMAIL and settings.ARUN_DEMO_PASSWORD):
        return
    user = _person(settings.ARUN_DEMO_EMAIL, is_staff=False)
    _person(settings.ARUN_STAFF_EMAIL, is_staff=True)
    places = memberships_of_user(user.pk)
    tenant_id = places[0].tenant_id if places else tenant_create(user_id=user.pk, name="Demo", is_demo=True).pk
    with tenant_scope(tenant_id):
        _plan()
        _bot()


def _person(email: str, *, is_staff: bool) -> User:
    user = User.objects.filter(email__iexact=email).first()
    if user is None:
        user = User.objects.create_user(email, settings.ARUN_DEMO_PASSWORD, is_staff=is_staff, is_superuser=is_staff)
    EmailAddress.objects.get_or_create(user=user, email=user.email, defaults={"verified": True, "primary": True})
    return user


def _plan() -> None:
    if not Subscription.objects.exists():
        reason = "The demo account is not for sale."
        subscription_grant(plan_code=DEMO_PLAN, until=DEMO_PLAN_UNTIL, actor=audit.process_actor("seed"), reason=reason)


def _bot() -> None:
    if Bot.objects.exists():
        return
    actor = audit.process_actor("seed")
    connection = connection_create(label="Paper money", venue=Venue.SIM, opening_cash=DEMO_CASH, actor=actor)
    bot_create(
        connection=connection,
        name="Demo bot",
        params=DEMO_PARAMS,
        limits=DEMO_LIMITS,
        allocated_capital=DEMO_CASH,
        instrument_ids=list(Instrument.objects.filter(is_simulated=True, is_active=True).values_list("pk", flat=True)),
        actor=actor,
    )
