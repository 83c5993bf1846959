"""kill -9 of each process while an order is on its way: one order at the venue, none lost, and the platform goes on."""

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from arun_saas.embedded.system import free_port
from tests.kit.platform import FIRST_START_SECONDS, Platform
from tests.kit.processes import clean_environment, run_python, wait_for

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("up")]

VICTIMS = ("gateway", "worker", "default", "beat", "relay", "web", "sandbox", "valkey", "postgres")
FINAL = {"FILLED", "CANCELLED", "REJECTED", "EXPIRED", "DEAD"}
REPLY_SECONDS = 3
SETTLED_SECONDS = 120
RESTART_SECONDS = 60


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with tempfile.TemporaryDirectory(prefix="arun-kills-") as folder:
        Path(folder).chmod(0o755)
        running = Platform(Path(folder) / "data", free_port())
        running.start(seconds=FIRST_START_SECONDS)
        yield running
        running.stop()


def drive(platform: Platform, *arguments: str) -> object:
    environment = clean_environment(ARUN_DATA=str(platform.folder), PORT=str(platform.port))
    done = run_python(
        "-m",
        "arun_saas.embedded",
        "exec",
        sys.executable,
        "-m",
        "tests.process.drive",
        *arguments,
        environment=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_each_process_killed_in_the_middle_of_an_order(platform: Platform) -> None:
    tenants = drive(platform, "make", str(len(VICTIMS)))
    for victim, tenant in zip(VICTIMS, tenants, strict=True):
        drive(platform, "order", tenant, str(REPLY_SECONDS))
        time.sleep(0.5)
        os.kill(platform.records()[victim][0], signal.SIGKILL)
        wait_for(lambda: platform.health()[0] == 200, seconds=RESTART_SECONDS, what=f"health after losing {victim}")

    def settled() -> bool:
        return all(
            order["state"] in FINAL for report in drive(platform, "report", *tenants) for order in report["orders"]
        )

    wait_for(settled, seconds=SETTLED_SECONDS, what="the end of every order")
    for tenant in tenants:
        drive(platform, "flatten", tenant)
    wait_for(
        lambda: all(report["held"] == 0 and report["acknowledged"] for report in drive(platform, "report", *tenants)),
        seconds=SETTLED_SECONDS,
        what="every lot to be sold",
    )

    for victim, report in zip(VICTIMS, drive(platform, "report", *tenants), strict=True):
        print(victim, [(order["side"], order["state"], order["history"]) for order in report["orders"]])
        tags = [tag for tag, _side, _filled in report["venue"]]
        assert len(tags) == len(set(tags)), f"{victim}: an order was doubled: {report}"
        assert set(tags) <= {order["tag"] for order in report["orders"]}, f"{victim}: a stranger's order: {report}"
        ours = {order["tag"]: order["filled"] for order in report["orders"] if order["filled"]}
        assert ours == {tag: filled for tag, _side, filled in report["venue"] if filled}, f"{victim}: {report}"
