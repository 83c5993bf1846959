"""Which components were seen at work, by the database's clock, so that processes on several machines agree."""

import os
import socket
from datetime import datetime

from django.db import connections

KEEP_SECONDS = 24 * 3600


def beat(component: str, *, instance: str | None = None, at: datetime | None = None, using: str = "default") -> None:
    """Note that this component is alive now, or was at a moment of the database's clock."""
    name = instance or f"{socket.gethostname()}:{os.getpid()}"
    with connections[using].cursor() as cursor:
        cursor.execute(
            "INSERT INTO common_heartbeat (component, instance, seen_at) "
            "VALUES (%s, %s, coalesce(%s, clock_timestamp())) "
            "ON CONFLICT (component, instance) DO UPDATE SET seen_at = excluded.seen_at",
            [component, name[:120], at],
        )


def last_seen(component: str, instance: str, using: str = "default") -> datetime | None:
    """Return the moment of the database's clock at which an instance was last known alive."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT seen_at FROM common_heartbeat WHERE component = %s AND instance = %s", [component, instance[:120]]
        )
        row = cursor.fetchone()
    return None if row is None else row[0]


def seen(using: str = "default") -> dict[str, float]:
    """Return for each component the seconds since its most recent instance was seen."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT component, extract(epoch FROM clock_timestamp() - max(seen_at))::float8 "
            "FROM common_heartbeat GROUP BY component"
        )
        return dict(cursor.fetchall())


def prune(using: str = "default") -> int:
    """Delete the rows of instances that are gone for a day; return their number."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "DELETE FROM common_heartbeat WHERE seen_at < clock_timestamp() - make_interval(secs => %s)", [KEEP_SECONDS]
        )
        return int(cursor.rowcount)
