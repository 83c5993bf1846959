"""The files that describe the installation agree with each other."""

import json
import re

import pytest
import yaml

from arun_saas.embedded.procfile import read_procfile
from arun_saas.embedded.run import LATER_STAGES
from tests.kit.processes import ROOT, clean_environment, run_python

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


# Used where they happen to be installed, and done without where they are not.
OPTIONAL = {
    "setuptools",
    "pip",
    "coverage",
    "greenlet",
    "rich",
    "pygments",
    "attrs",
    "pyyaml",
    "inflection",
    "uritemplate",
}
# What the processes of the Procfile load, some of it by name from a string.
LOADED = """
import importlib, json, pkgutil, sys
from importlib.metadata import packages_distributions
import django
django.setup()
names = ["celery.apps.beat", "celery.apps.worker", "celery.bin.celery", "celery.concurrency.prefork"]
names += ["celery.concurrency.thread", "channels_redis.core", "kombu.transport.redis", "uvicorn.main"]
names += ["uvicorn.protocols.http.httptools_impl", "uvicorn.protocols.websockets.websockets_impl", "uvicorn.loops.uvloop"]
for root in ("apps", "arun_saas"):
    package = importlib.import_module(root)
    names += [one.name for one in pkgutil.walk_packages(package.__path__, root + ".")]
for name in names:
    if not name.endswith((".__main__", ".production")):
        importlib.import_module(name)
owners = packages_distributions()
print(json.dumps(sorted({owner for name in sys.modules if "." not in name for owner in owners.get(name, [])})))
"""


def test_production_installs_everything_that_its_processes_load():
    # Coverage and the test runner would load packages of their own.
    environment = clean_environment(DJANGO_SETTINGS_MODULE="arun_saas.settings.test", PYTHONPATH=str(ROOT))
    environment = {name: value for name, value in environment.items() if not name.startswith("COV")}
    pinned = {re.sub(r"[-_.]+", "-", name.split()[0]).lower() for name in pins("base")}

    done = run_python("-W", "ignore", "-c", LOADED, environment=environment)

    assert done.returncode == 0, done.stderr
    loaded = {re.sub(r"[-_.]+", "-", name).lower() for name in json.loads(done.stdout)}
    assert {"kombu", "redis", "uvicorn"} <= loaded
    assert loaded - pinned - OPTIONAL == set()


@pytest.mark.parametrize("name", ["base", "dev"])
def test_every_requirement_is_hashed_and_no_index_is_named(name):
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    blocks = re.split(r"(?m)^(?=[\w.-]+==)", text)[1:]

    assert len(blocks) == len(re.findall(r"(?m)^[\w.-]+==", text))
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text
