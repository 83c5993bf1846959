import http.server
import threading

import pytest
from django.db import connection

from apps.common import events, heartbeats, locks, outbox
from apps.common.db import tenant_scope
from apps.common.tasks import beat_heartbeat
from arun_saas.schedule import BEAT_SCHEDULE
from tests.kit.factories.people import make_tenant

ALL = ["database", "valkey", "gateway", "worker", "default", "beat", "relay", "sandbox"]


class _Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture
def sandbox(settings):
    server = http.server.HTTPServer(("127.0.0.1", 0), _Healthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.SANDBOX_URL = f"http://127.0.0.1:{server.server_port}"
    yield
    server.shutdown()
    server.server_close()


@pytest.fixture
def everybody(db, valkey, sandbox):
    locks.redis_client.cache_clear()
    for component in ("gateway", "worker", "default", "beat", "relay"):
        heartbeats.beat(component)


def test_live_answers_without_a_database(client):
    response = client.get("/health/live")

    assert (response.status_code, response.json()) == (200, {"status": "live"})


def test_ready_with_everybody_seen_names_each(client, everybody):
    response = client.get("/health/ready")

    body = response.json()
    assert response.status_code == 200
    assert body["status"] == "ready"
    assert list(body["components"]) == ALL
    assert all(part["ok"] and part["age_seconds"] < 5 for part in body["components"].values())
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize("missing", ["gateway", "worker", "default", "beat", "relay"])
def test_ready_with_a_component_last_seen_too_long_ago_is_503(client, everybody, missing):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE common_heartbeat SET seen_at = clock_timestamp() - interval '31 seconds' WHERE component = %s",
            [missing],
        )

    response = client.get("/health/ready")

    body = response.json()
    assert (response.status_code, body["status"]) == (503, "not_ready")
    assert [name for name, part in body["components"].items() if not part["ok"]] == [missing]
    assert body["components"][missing]["age_seconds"] == pytest.approx(31, abs=3)


def test_ready_without_the_sandbox_is_503(client, everybody, settings):
    settings.SANDBOX_URL = "http://127.0.0.1:1"

    response = client.get("/health/ready")

    assert response.status_code == 503
    assert response.json()["components"]["sandbox"] == {"ok": False, "age_seconds": None}


def test_seen_takes_the_most_recent_instance(db):
    heartbeats.beat("worker", instance="a")
    heartbeats.beat("worker", instance="b")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE common_heartbeat SET seen_at = seen_at - interval '2 hours' WHERE instance = 'a'")

    assert heartbeats.seen()["worker"] < 5


def test_prune_takes_instances_gone_for_a_day(db):
    heartbeats.beat("worker", instance="a")
    heartbeats.beat("worker", instance="b")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE common_heartbeat SET seen_at = seen_at - interval '25 hours' WHERE instance = 'a'")

    assert heartbeats.prune() == 1
    assert list(heartbeats.seen()) == ["worker"]


def test_heartbeat_task_proves_its_worker_and_beat(db):
    beat_heartbeat("gateway")

    assert set(heartbeats.seen()) == {"gateway", "beat"}


def test_heartbeats_are_scheduled_on_each_workers_queue_and_expire():
    entries = [entry for name, entry in BEAT_SCHEDULE.items() if name.startswith("heartbeat-")]

    sent = {entry["args"][0]: entry["options"]["queue"] for entry in entries}
    assert sent == {"gateway": "stops", "worker": "market", "default": "default"}
    assert {entry["task"] for entry in entries} == {beat_heartbeat.name}
    assert max(entry["options"]["expires"] + entry["schedule"] for entry in entries) < 30


def test_metrics_tell_the_backlog_and_no_tenant(committed_db, client):
    tenant = make_tenant()
    with tenant_scope(tenant.id):
        events.publish("Ping", tenant_id=tenant.id)
    heartbeats.beat("relay")

    text = client.get("/metrics").content.decode()

    assert "arun_up 1.0" in text
    assert "arun_outbox_waiting 2.0" in text
    assert 'arun_work_items{kind="order"} 0.0' in text
    assert 'arun_heartbeat_age_seconds{component="relay"}' in text
    assert str(tenant.id) not in text
    assert outbox.backlog()[0] == 2


@pytest.mark.parametrize(
    ("shown", "status"), [({}, 404), ({"Authorization": "Bearer wrong"}, 404), ({"Authorization": "Bearer s3"}, 200)]
)
def test_metrics_in_production_need_the_token(committed_db, client, settings, shown, status):
    settings.ARUN_METRICS_OPEN = False
    settings.ARUN_METRICS_TOKEN = "s3"

    assert client.get("/metrics", headers=shown).status_code == status


def test_metrics_without_a_token_set_are_closed(client, settings):
    settings.ARUN_METRICS_OPEN = False
    settings.ARUN_METRICS_TOKEN = ""

    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404
