"""ARUN_DATA: what it keeps, how private it is, and what happens when it cannot be used."""

import json
import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from arun_saas.embedded.errors import EmbeddedRunError, RefusedStartError
from arun_saas.embedded.home import Home
from arun_saas.embedded.procfile import read_procfile
from arun_saas.embedded.run import components_missing
from arun_saas.embedded.system import is_port_free, make_folder, process_stat, session_members, write_private


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "data")
    home.claim()
    return home


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_made_once_and_only_the_owner_reads_them(home):
    first = home.secrets()

    assert home.secrets() == first
    assert mode(home.folder / "secrets.json") == 0o600
    assert min(len(first[name]) for name in ("secret_key", "tag_key", "sandbox_key")) >= 40
    assert len(set(first.values())) == len(first)


def test_secret_that_a_newer_version_needs_is_added_beside_the_old_ones(home):
    before = home.secrets()
    kept = {name: value for name, value in before.items() if name != "tag_key"}
    (home.folder / "secrets.json").write_text(json.dumps(kept))

    after = home.secrets()

    assert {name: value for name, value in after.items() if name != "tag_key"} == kept
    assert after["tag_key"] not in {"", before["tag_key"]}


def test_damaged_secrets_are_refused_and_not_replaced(home):
    home.secrets()
    (home.folder / "secrets.json").write_text("{")

    with pytest.raises(RefusedStartError, match=r"secrets\.json is damaged"):
        home.secrets()

    assert (home.folder / "secrets.json").read_text() == "{"


def test_folder_is_closed_to_others_and_an_existing_one_keeps_its_mode(tmp_path):
    Home(tmp_path / "new").claim()
    make_folder(tmp_path / "old", 0o750)
    Home(tmp_path / "old").claim()

    assert mode(tmp_path / "new") == (0o711 if os.geteuid() == 0 else 0o700)
    assert mode(tmp_path / "old") == 0o750


def test_folder_that_cannot_be_made_is_a_clear_message(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(RefusedStartError, match="cannot be used: Not a directory"):
        Home(tmp_path / "file" / "data").claim()


def test_ports_are_kept_and_differ(home):
    ports = home.ports()

    assert home.ports() == ports
    assert set(ports) == {"postgres", "valkey", "sandbox"}
    assert len(set(ports.values())) == 3


def test_port_that_a_stranger_took_is_replaced_alone(home):
    before = home.ports()
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", before["valkey"]))
        stranger.listen(1)

        after = home.ports()

    assert after["valkey"] != before["valkey"]
    assert (after["postgres"], after["sandbox"]) == (before["postgres"], before["sandbox"])


def test_port_on_all_addresses_counts_as_taken():
    with socket.socket() as stranger:
        stranger.bind(("0.0.0.0", 0))  # noqa: S104 - a program that listens everywhere is what this is about
        stranger.listen(1)

        assert not is_port_free(stranger.getsockname()[1])


def test_private_file_replaces_the_old_one_whole(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)

    write_private(path, "new")

    assert (path.read_text(), mode(path)) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_session_members_of_a_reused_pid_are_none():
    # A session of our own: the one the tests run in may have outlived its leader.
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as leader:
        try:
            born = process_stat(leader.pid)
            assert born is not None

            assert session_members(leader.pid, started=born.started) == [leader.pid]
            assert session_members(leader.pid, started=born.started - 1) == []
        finally:
            leader.kill()


def test_procfile_with_a_repeated_name_is_refused(tmp_path):
    (tmp_path / "Procfile").write_text("# processes\nweb: a\n\nweb: b\n")

    with pytest.raises(EmbeddedRunError, match="line 4"):
        read_procfile(tmp_path / "Procfile")


def test_component_seen_only_by_an_earlier_run_is_missing():
    body = json.dumps({"components": {"web": {"ok": True}, "beat": {"ok": True, "age_seconds": 9.0}}}).encode()

    assert components_missing(body, seconds=8.0) == ["beat"]
    assert components_missing(body, seconds=9.5) == []


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"components": {"beat": true}}', b"{}"])
def test_readiness_answer_in_another_shape_counts_as_not_ready(body):
    assert components_missing(body, seconds=60.0) == ["web"]


def test_component_that_is_not_ok_is_named():
    body = json.dumps({"components": {"valkey": {"ok": True}, "relay": {"ok": False, "age_seconds": None}}}).encode()

    assert components_missing(body, seconds=60.0) == ["relay"]
