"""The limits of the whole account. Every change is a new version; none is overwritten."""

from apps.common import audit, events
from apps.common.db import require_tenant_id
from apps.engine.model.params import RiskLimits
from apps.trading.errors import ParametersRefusedError
from apps.trading.models import TenantLimits
from apps.trading.services.instruments import bots_lock


def tenant_limits_change(*, limits: RiskLimits, shown_version: int, actor: str) -> TenantLimits | None:
    """Give the account a new version of its limits; the next cycle of every bot counts by it.

    Saving what is in force already writes nothing and returns the version in force (None: there is none).
    `shown_version` is that of the form, 0 for none. Raises ParametersRefusedError where it is not the newest any more.
    """
    bots_lock()
    newest: TenantLimits | None = TenantLimits.objects.order_by("-version").first()
    in_force = RiskLimits() if newest is None else RiskLimits.from_json(newest.limits)
    if limits == in_force:
        return newest
    version = 0 if newest is None else newest.version
    if version != shown_version:
        raise ParametersRefusedError("Somebody changed these limits since you opened them. Look at them again.")
    changed: TenantLimits = TenantLimits.objects.create(version=version + 1, limits=limits.to_json(), created_by=actor)
    audit.record(
        "tenant.limits_changed",
        actor=actor,
        subject=f"tenant:{require_tenant_id()}",
        data={"version": changed.version, "limits": limits.to_json()},
    )
    events.publish("LimitsChanged", tenant_id=require_tenant_id(), data={"version": changed.version})
    return changed
