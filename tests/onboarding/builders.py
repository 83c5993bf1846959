"""Plans and drafts for the tests of the set-up."""

from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from apps.accounts.models import User
from apps.brokers.choices import Venue
from apps.common.db import tenant_scope
from apps.engine.model.params import Preset
from apps.market.terms import terms_refresh
from apps.onboarding import services
from apps.onboarding.plan import RiskPlan, preset_plan
from tests.kit.factories.people import make_user
from tests.kit.factories.trading import make_instrument

SYMBOLS = ("SIMALPHA", "SIMBETA", "SIMGAMMA", "SIMDELTA", "SIMEPSILON")


def a_plan(preset: Preset = Preset.CONSERVATIVE, capital: str = "100000", **changes: object) -> RiskPlan:
    return replace(preset_plan(preset, Decimal(capital)), **changes)


@dataclass(frozen=True)
class Account:
    """A person on the way through the set-up."""

    user: User
    tenant_id: UUID

    def scope(self):
        return tenant_scope(self.tenant_id)


def agreed(text: str = "I have read it.") -> services.Agreed:
    return services.Agreed(text_key="set-up", version=2, text=text)


def answers(**changes: object) -> services.BrokerAnswers:
    wanted = {"name": "Rao family", "venue": Venue.SIM, "opening_cash": Decimal(100_000), **changes}
    return services.BrokerAnswers(**wanted)


def offer_shares(*symbols: str) -> list[UUID]:
    made = [make_instrument(symbol) for symbol in symbols or SYMBOLS]
    terms_refresh(made)
    return [share.pk for share in made]


def begun() -> Account:
    """Somebody who has answered the first step."""
    user = make_user()
    tenant_id = services.broker_save(user_id=user.pk, tenant_id=None, answers=answers())
    return Account(user=user, tenant_id=tenant_id)


def at_shares() -> Account:
    """Somebody who has answered the first two steps."""
    account = begun()
    with account.scope():
        services.limits_save(user_id=account.user.pk, plan=a_plan(), agreed=agreed())
    return account
