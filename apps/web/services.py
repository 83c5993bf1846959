"""The one write that spans several apps: setting up a new person's account from the set-up page."""

from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.brokers.choices import Venue
from apps.brokers.services import connection_create
from apps.common.audit import user_actor
from apps.common.db import tenant_scope
from apps.engine.model.choices import Timeframe
from apps.engine.model.params import PRESETS, Preset, RiskLimits
from apps.tenants.selectors import memberships_of_user
from apps.tenants.services import acknowledgement_add, tenant_create
from apps.trading.services.bots import bot_create

RISK_TEXT_KEY = "paper-start"
RISK_TEXT_VERSION = 1
RISK_TEXT = (
    "I know that this is paper money on a simulated market, that its results say nothing about real trading, "
    "and that ARUN gives no advice."
)
# A simulated day holds 5,760 candles of 15 seconds: the published limit would be used up within minutes.
SIMULATED_ENTRIES = 50
_PAISA = Decimal("0.01")
_HUNDRED = Decimal(100)
DAILY_LOSS_PERCENT = {
    Preset.CONSERVATIVE: Decimal(3),
    Preset.MODERATE: Decimal(5),
    Preset.AGGRESSIVE: Decimal(8),
    Preset.ACCUMULATOR: Decimal(5),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUp:
    """What the page asks for. `capital` in rupees."""

    name: str
    capital: Decimal
    preset: Preset
    instrument_ids: tuple[UUID, ...]


def account_set_up(*, user_id: UUID, wanted: SetUp) -> UUID:
    """Make the account, its paper connection and a stopped bot, all or nothing; return the tenant's id.

    A person who has an account already gets that one back: sending the form twice makes one account.
    """
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user_id)
        places = memberships_of_user(user_id)
        if places:
            return places[0].tenant_id
        tenant = tenant_create(user_id=user_id, name=wanted.name)
        actor = user_actor(user_id)
        with tenant_scope(tenant.pk):
            acknowledgement_add(user_id=user_id, text_key=RISK_TEXT_KEY, version=RISK_TEXT_VERSION)
            connection = connection_create(
                label="Paper account", venue=Venue.SIM, opening_cash=wanted.capital, actor=actor
            )
            bot_create(
                connection=connection,
                name="My first bot",
                params=replace(PRESETS[wanted.preset], timeframe=Timeframe.S15, max_entries_per_day=SIMULATED_ENTRIES),
                limits=limits_for(wanted.preset, wanted.capital),
                allocated_capital=wanted.capital,
                instrument_ids=wanted.instrument_ids,
                actor=actor,
            )
        return tenant.pk


def limits_for(preset: Preset, capital: Decimal) -> RiskLimits:
    """Return the limits that the set-up page promises beside a preset."""
    return RiskLimits(
        capital=capital,
        daily_loss=(capital * DAILY_LOSS_PERCENT[preset] / _HUNDRED).quantize(_PAISA),
    )
