"""What ends live sockets at once: a log-out, and a change of somebody's place in a tenant."""

from typing import Any

import redis
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.contrib.auth.signals import user_logged_out

from apps.common import logs
from apps.common.events import Event, subscribe
from apps.common.keys import user_group
from apps.tenants.services import MEMBERSHIP_CHANGED

log = logs.get(__name__)


def revoke(user_id: object) -> None:
    """Ask every socket of this person to look its session up now; the regular check would find it within 30 s.

    A channel layer that is down must not keep anybody from logging out.
    """
    try:
        async_to_sync(get_channel_layer().group_send)(user_group(user_id), {"type": "session.revoke"})
    except (OSError, redis.RedisError) as error:
        log.warning("live_revoke_failed", error=type(error).__name__)


def _on_logout(sender: object, user: Any, **kwargs: object) -> None:
    if user is not None:
        revoke(user.pk)


def _on_membership_changed(event: Event) -> None:
    revoke(event.data["user_id"])


def connect() -> None:
    """Subscribe to this app's events."""
    user_logged_out.connect(_on_logout, dispatch_uid="arun_live_logout")
    subscribe(MEMBERSHIP_CHANGED, _on_membership_changed)
