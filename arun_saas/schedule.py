"""What beat sends, and when. Every entry is a wake-up call that may be lost or come twice."""

from typing import Any

_HEARTBEAT_SECONDS = 5.0
_HEARTBEAT_QUEUES = {"gateway": "stops", "worker": "market", "default": "default"}

BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    f"heartbeat-{component}": {
        "task": "apps.common.tasks.beat_heartbeat",
        "schedule": _HEARTBEAT_SECONDS,
        "args": [component],
        "options": {"queue": queue, "expires": 2 * _HEARTBEAT_SECONDS},
    }
    for component, queue in _HEARTBEAT_QUEUES.items()
} | {
    "dispatch": {"task": "trading.dispatch_tick", "schedule": 1.0, "options": {"queue": "market", "expires": 2}},
    "candles": {"task": "market.candles_tick", "schedule": 1.0, "options": {"queue": "market", "expires": 5}},
    "price-watch": {"task": "trading.price_watch_tick", "schedule": 2.0, "options": {"queue": "market", "expires": 4}},
    "hours": {"task": "trading.hours_tick", "schedule": 2.0, "options": {"queue": "market", "expires": 4}},
    "mails": {"task": "notifications.mail_tick", "schedule": 2.0, "options": {"queue": "default", "expires": 4}},
    "calendar-check": {
        "task": "market.calendar_check",
        "schedule": 21_600.0,
        "options": {"queue": "market", "expires": 600},
    },
    "candles-prune": {
        "task": "market.candles_prune",
        "schedule": 3600.0,
        "options": {"queue": "market", "expires": 600},
    },
}
