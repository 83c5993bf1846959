"""Reads of plans and of the open scope's limits."""

from django.db.models import QuerySet

from apps.common import clock
from apps.subscriptions.entitlements import FREE, FREE_CODE, Limits, SubscriptionFacts, limits_for
from apps.subscriptions.models import Plan, Subscription


def plans_sold() -> QuerySet[Plan]:
    """Return the plans that may be shown and sold, cheapest first."""
    return Plan.objects.filter(is_sold=True)


def plan_limits(plan: Plan) -> Limits:
    """Return a plan's limits without the row."""
    return Limits(
        plan_code=plan.code,
        max_bots=plan.max_bots,
        max_instruments=plan.max_instruments,
        max_live_connections=plan.max_live_connections,
        highest_mode=plan.highest_mode,
        max_backtests_per_day=plan.max_backtests_per_day,
        max_api_keys=plan.max_api_keys,
        max_seats=plan.max_seats,
        channels=tuple(plan.channels),
    )


def limits_now() -> Limits:
    """Return the limits in force for the open scope's tenant."""
    subscription: Subscription | None = Subscription.objects.select_related("plan").first()
    free_plan = Plan.objects.filter(code=FREE_CODE).first()
    free = FREE if free_plan is None else plan_limits(free_plan)
    if subscription is None:
        return free
    facts = SubscriptionFacts(
        limits=plan_limits(subscription.plan), status=subscription.status, period_ends_at=subscription.period_ends_at
    )
    return limits_for(facts, free=free, now=clock.now())
