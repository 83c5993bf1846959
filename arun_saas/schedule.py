"""What beat sends, and when. Every entry is a wake-up call that may be lost or come twice."""

from typing import Any

_HEARTBEAT_SECONDS = 5.0
_HEARTBEAT_QUEUES = {"gateway": "orders", "worker": "market", "default": "default"}

BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    f"heartbeat-{component}": {
        "task": "apps.common.tasks.beat_heartbeat",
        "schedule": _HEARTBEAT_SECONDS,
        "args": [component],
        "options": {"queue": queue, "expires": 2 * _HEARTBEAT_SECONDS},
    }
    for component, queue in _HEARTBEAT_QUEUES.items()
} | {
    "sweep": {"task": "trading.sweep", "schedule": 1.0, "options": {"queue": "orders", "expires": 3}},
}
