"""The files that describe the installation agree with each other."""

import re

import pytest
import yaml

from arun_saas.embedded.procfile import read_procfile
from arun_saas.embedded.run import LATER_STAGES
from tests.kit.processes import ROOT

PROCESSES = ["web", "gateway", "worker", "default", "beat", "relay", "sandbox"]
SERVERS = {"postgres", "valkey"}


def pins(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return {
        f"{package} {marker}": version for package, version, marker in re.findall(r"(?m)^([\w.-]+)==(\S+)(.*)\\$", text)
    }


def test_procfile_and_compose_file_run_the_same_processes():
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]

    assert list(read_procfile(ROOT / "Procfile")) == PROCESSES
    assert set(compose) - SERVERS - {"prepare"} == set(PROCESSES)


@pytest.mark.parametrize("name", ["gateway", "worker", "default", "relay"])
def test_compose_file_gives_a_process_the_command_of_the_procfile(name):
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]

    assert compose[name]["command"].strip() == read_procfile(ROOT / "Procfile")[name]


def test_every_process_that_is_stopped_late_exists():
    assert {name for stage in LATER_STAGES for name in stage} <= {*PROCESSES, *SERVERS}


def test_development_and_production_install_the_same_versions():
    base, dev = pins("base"), pins("dev")

    assert len(base) > 50
    assert {name: dev.get(name) for name in base} == base


@pytest.mark.parametrize("name", ["base", "dev"])
def test_every_requirement_is_hashed_and_no_index_is_named(name):
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    blocks = re.split(r"(?m)^(?=[\w.-]+==)", text)[1:]

    assert len(blocks) == len(re.findall(r"(?m)^[\w.-]+==", text))
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text
