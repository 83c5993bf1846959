"""What a tenant may do under its subscription: a pure function of the facts, so that every order of events agrees.

No limit here ever keeps an exit or a Stop from working.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

PAST_DUE_GRACE = timedelta(days=7)
FREE_CODE = "free"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """A plan's limits. None means: settled by contract, so nothing is counted here."""

    plan_code: str
    max_bots: int | None
    max_instruments: int | None
    max_live_connections: int | None
    highest_mode: str
    max_backtests_per_day: int | None
    max_api_keys: int | None
    max_seats: int | None
    channels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SubscriptionFacts:
    """The plan's limits, and how the subscription stands."""

    limits: Limits
    status: str
    period_ends_at: datetime | None


FREE = Limits(
    plan_code=FREE_CODE,
    max_bots=1,
    max_instruments=3,
    max_live_connections=0,
    highest_mode="paper",
    max_backtests_per_day=5,
    max_api_keys=0,
    max_seats=1,
    channels=("email", "in_app"),
)


def limits_for(facts: SubscriptionFacts | None, *, free: Limits = FREE, now: datetime) -> Limits:
    """Return the limits in force at `now`.

    A paid plan counts while it is on trial or active within its period, and for a week's grace after its end while a
    payment is overdue. Everything else, and everything unknown, gives the free plan.
    """
    if facts is None or facts.period_ends_at is None:
        return free
    grace = PAST_DUE_GRACE if facts.status == "past_due" else timedelta(0)
    if facts.status in {"trialing", "active", "past_due"} and now < facts.period_ends_at + grace:
        return facts.limits
    return free
