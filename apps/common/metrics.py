"""Figures for Prometheus: this web process's requests, and the platform's own, read where they stand when asked.

The other processes serve no page, so what they do is counted by the rows they leave: no tenant appears in any label.
"""

from collections.abc import Iterator

from django.db import DatabaseError, connections
from prometheus_client import REGISTRY, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from apps.common import clock, heartbeats, outbox
from apps.common.models import WorkItem

HTTP_SECONDS = Histogram(
    "arun_http_request_seconds",
    "Time to answer a request.",
    ["method", "route", "status"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)

_WORK = """
SELECT kind, count(*), count(*) FILTER (WHERE due_at <= %(now)s),
       greatest(extract(epoch FROM %(now)s - min(due_at)), 0)::float8
FROM common_workitem GROUP BY kind
"""


class PlatformCollector(Collector):
    """Reads the platform's figures from PostgreSQL. A database that is down gives `arun_up 0` and nothing else."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        up = GaugeMetricFamily("arun_up", "1 when the figures could be read.")
        try:
            families = [*_outbox(), _heartbeats(), *_work()]
        except DatabaseError:
            families = []
        up.add_metric([], 1.0 if families else 0.0)
        yield up
        yield from families


def text() -> bytes:
    """Return all figures in Prometheus' text form."""
    registry = CollectorRegistry()
    registry.register(PlatformCollector())
    return generate_latest(REGISTRY) + generate_latest(registry)


def _outbox() -> list[GaugeMetricFamily]:
    waiting, oldest, parked = outbox.backlog()
    return [
        GaugeMetricFamily("arun_outbox_waiting", "Events that are not delivered yet.", value=waiting),
        GaugeMetricFamily("arun_outbox_oldest_seconds", "Age of the oldest event that waits.", value=oldest),
        GaugeMetricFamily("arun_outbox_parked", "Events whose handler was given up.", value=parked),
    ]


def _heartbeats() -> GaugeMetricFamily:
    family = GaugeMetricFamily("arun_heartbeat_age_seconds", "Time since a component was seen.", labels=["component"])
    for component, age in sorted(heartbeats.seen().items()):
        family.add_metric([component], age)
    return family


def _work() -> list[GaugeMetricFamily]:
    """Return what stands in the work list: an order has its item from its intent to its settlement."""
    total = GaugeMetricFamily("arun_work_items", "Items in the work list; `order`: unsettled orders.", labels=["kind"])
    due = GaugeMetricFamily("arun_work_due", "Items that are due now.", labels=["kind"])
    late = GaugeMetricFamily("arun_work_late_seconds", "How long the most overdue item waits.", labels=["kind"])
    with connections["dispatch"].cursor() as cursor:
        cursor.execute(_WORK, {"now": clock.now()})
        rows = {kind: (count, ready, age) for kind, count, ready, age in cursor.fetchall()}
    for kind in WorkItem.Kind.values:
        count, ready, age = rows.get(kind, (0, 0, 0.0))
        total.add_metric([kind], count)
        due.add_metric([kind], ready)
        late.add_metric([kind], age)
    return [total, due, late]
