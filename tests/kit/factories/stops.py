"""Stops above the tenants, and the people who may ask for them."""

from uuid import uuid4

from apps.accounts.models import User
from apps.engine.model.choices import RunLevel
from apps.trading.models import PlatformControl, PlatformStopRequest
from apps.trading.services.platform_stops import platform_stop_approve, platform_stop_propose, platform_stop_request

REASON = "The broker's books do not agree."


def make_staff() -> User:
    return User.objects.create_user(f"staff-{uuid4().hex[:8]}@arun.example", "a long test password", is_staff=True)


def platform_stop(
    level: RunLevel = RunLevel.STOP, *, scope: str = PlatformControl.Scope.PLATFORM, key: str = ""
) -> PlatformStopRequest:
    """One member of the staff stops."""
    return platform_stop_request(
        scope=scope, key=key, level=level, request_id=uuid4(), actor=make_staff(), reason=REASON
    )


def agreed_level(level: RunLevel, *, scope: str = PlatformControl.Scope.PLATFORM, key: str = "") -> PlatformStopRequest:
    """Two members of the staff agree on a level."""
    proposal = platform_stop_propose(
        scope=scope, key=key, level=level, request_id=uuid4(), actor=make_staff(), reason=REASON
    )
    return platform_stop_approve(proposal_id=proposal.pk, actor=make_staff())
