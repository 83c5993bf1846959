"""Writes to a tenant's subscription."""

from datetime import datetime

from apps.common import audit
from apps.subscriptions.models import Subscription


def subscription_grant(*, plan_code: str, until: datetime, actor: str, reason: str) -> Subscription:
    """Put the open scope's tenant on a plan without payment until then, in place of what it had; audited."""
    subscription: Subscription
    subscription, _ = Subscription.objects.update_or_create(
        defaults={"plan_id": plan_code, "status": Subscription.Status.ACTIVE, "period_ends_at": until}
    )
    audit.record(
        "subscription.granted",
        actor=actor,
        subject=f"subscription:{subscription.pk}",
        data={"plan": plan_code, "until": until.isoformat(), "reason": reason},
    )
    return subscription
