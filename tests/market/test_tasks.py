from datetime import UTC, datetime

import pytest
import structlog
from celery import current_app

from apps.market import tasks
from arun_saas.schedule import BEAT_SCHEDULE
from tests.kit.clock import FakeClock


def test_calendar_check_names_the_year_without_data(seeded: None, clock: FakeClock) -> None:
    clock.set(datetime(2026, 11, 22, 3, 0, tzinfo=UTC))

    with structlog.testing.capture_logs() as lines:
        tasks.calendar_check()

    assert [(line["event"], line["exchange"], line["on"]) for line in lines] == [
        ("calendar_gap", "NSE", "2027-01-01"),
        ("calendar_gap", "BSE", "2027-01-01"),
    ]


@pytest.mark.parametrize("entry", ["dispatch", "candles", "price-watch", "candles-prune", "calendar-check"])
def test_beat_knows_the_task_and_lets_it_expire(entry: str) -> None:
    scheduled = BEAT_SCHEDULE[entry]

    assert scheduled["task"] in current_app.tasks
    assert scheduled["options"]["queue"] == "market"
    assert scheduled["options"]["expires"] > scheduled["schedule"] or scheduled["schedule"] > 60
