import hashlib
import json
import threading

import pytest
from django.db import connections

from apps.common import audit
from apps.common.audit_chain import Sealer, audit_verify, platform_audit_verify
from apps.common.db import tenant_scope
from apps.common.errors import NoTenantScopeError
from apps.common.models import AuditEntry, AuditLink
from tests.kit.factories.people import make_tenant


def _record(tenant, action="bot.started", **data):
    with tenant_scope(tenant.id):
        return audit.record(action, actor="user:7", subject="bot:1", data=data)


def _links(tenant):
    return list(AuditLink.objects.using("relay").filter(tenant=tenant.id).order_by("seq"))


@pytest.mark.django_db
def test_record_hashes_the_canonical_row(clock):
    entry = _record(make_tenant(), n=3, name="é")

    row = {
        "action": "bot.started",
        "actor": "user:7",
        "at": "2026-11-16T04:30:00.000000+00:00",
        "data": {"n": 3, "name": "é"},
        "id": str(entry.id),
        "subject": "bot:1",
        "tenant_id": str(entry.tenant_id),
    }
    canonical = json.dumps(row, sort_keys=True, separators=(",", ":"))
    assert entry.row_hash == hashlib.sha256(canonical.encode()).hexdigest()


@pytest.mark.django_db
def test_record_masks_what_looks_like_a_secret():
    entry = _record(make_tenant(), access_token="Hunter2", note="api_key=Hunter2Hunter2")

    assert entry.data == {"access_token": "[masked]", "note": "api_key=[masked]"}


@pytest.mark.django_db
def test_record_refuses_a_float():
    tenant = make_tenant()

    with pytest.raises(TypeError, match="float"):
        _record(tenant, price=1.5)

    with tenant_scope(tenant.id):
        assert AuditEntry.objects.filter(action="bot.started").count() == 0


@pytest.mark.django_db
def test_record_outside_a_scope_raises():
    with pytest.raises(NoTenantScopeError):
        audit.record("x", actor="user:1")


def test_seal_links_each_tenants_rows_in_their_order(committed_db):
    tenant, other = make_tenant(), make_tenant()
    entries = [_record(tenant, n=n) for n in range(3)]
    _record(other)

    assert Sealer().seal() == 6  # with two rows of the tenants' creation

    links = _links(tenant)
    assert [link.seq for link in links] == [1, 2, 3, 4]
    assert [link.entry_id for link in links[1:]] == [entry.id for entry in entries]
    assert links[0].previous_hash == hashlib.sha256(b"arun/audit/v1" + tenant.id.bytes).hexdigest()
    for before, link, entry in zip(links, links[1:], entries, strict=False):
        joined = bytes.fromhex(before.chain_hash) + bytes.fromhex(entry.row_hash)
        assert (link.previous_hash, link.chain_hash) == (before.chain_hash, hashlib.sha256(joined).hexdigest())


def test_seal_by_two_sealers_makes_one_chain(committed_db):
    tenant = make_tenant()
    first, second = Sealer(), Sealer()
    first.seal()
    _record(tenant)
    second.seal()
    _record(tenant)
    first.seal()

    assert first.seal() == second.seal() == 0
    assert [link.seq for link in _links(tenant)] == [1, 2, 3]
    assert audit_verify(tenant.id).is_sound


def test_seal_finds_a_row_whose_transaction_began_before_the_last_sealing(committed_db):
    tenant = make_tenant()
    sealer = Sealer()
    written, may_commit = threading.Event(), threading.Event()

    def slow_writer():
        try:
            with tenant_scope(tenant.id):
                audit.record("slow", actor="user:7")
                written.set()
                may_commit.wait(8)
        finally:
            connections.close_all()

    writer = threading.Thread(target=slow_writer)
    writer.start()
    written.wait(8)
    _record(tenant)
    sealed = [sealer.seal(), sealer.seal()]
    may_commit.set()
    writer.join()
    sealed.append(sealer.seal())

    assert sealed == [2, 0, 1]
    assert audit_verify(tenant.id).unlinked == 0
    assert audit_verify(tenant.id).is_sound


def test_verify_of_an_untouched_chain_is_sound(committed_db):
    tenant = make_tenant()
    _record(tenant, when="2026-01-01", nested={"b": [1, None], "a": "x"})
    Sealer().seal()
    _record(tenant)

    report = audit_verify(tenant.id)

    assert (report.linked, report.unlinked, report.defects) == (2, 1, ())
    assert report.head == _links(tenant)[-1].chain_hash


TAMPERINGS = {
    "row": "UPDATE common_auditentry SET actor = 'user:8' WHERE action = 'bot.started'",
    "row and its hash": "UPDATE common_auditentry SET actor = 'user:8', row_hash = repeat('0', 64) "
    "WHERE action = 'bot.started'",
    "link": "UPDATE common_auditlink SET chain_hash = repeat('0', 64) WHERE seq = 2",
    "row away": "DELETE FROM common_auditentry WHERE action = 'bot.started'",
    "link away": "DELETE FROM common_auditlink WHERE seq = 2",
    "order": "UPDATE common_auditlink SET seq = CASE seq WHEN 2 THEN 3 ELSE 2 END WHERE seq > 1",
}


@pytest.mark.parametrize("statement", TAMPERINGS.values(), ids=TAMPERINGS.keys())
def test_verify_finds_tampering_by_a_superuser(committed_db, statement):
    tenant = make_tenant()
    _record(tenant)
    _record(tenant, "bot.stopped")
    Sealer().seal()
    with committed_db.connect("postgres") as admin:
        admin.execute("SET session_replication_role = replica")
        admin.execute("ALTER TABLE common_auditlink DROP CONSTRAINT audit_link_seq_once")
        admin.execute(statement)

    assert not audit_verify(tenant.id).is_sound


def test_platform_chain_is_sealed_apart_from_the_tenants(committed_db):
    tenant = make_tenant()
    for action in ("run_level.set", "run_level.proposed"):
        audit.record_platform(action, actor="staff:1", subject="broker:paper", data={"level": "STOP"})

    Sealer().seal()

    report = platform_audit_verify()
    assert (report.linked, report.unlinked, report.defects) == (2, 0, ())
    assert audit_verify(tenant.id).is_sound
    assert platform_audit_verify().head != audit_verify(tenant.id).head


def test_platform_chain_shows_tampering_by_a_superuser(committed_db):
    entry = audit.record_platform("run_level.set", actor="staff:1")
    audit.record_platform("run_level.set", actor="staff:2")
    Sealer().seal()
    with committed_db.connect("postgres") as admin:
        admin.execute("ALTER TABLE common_platformauditentry DISABLE TRIGGER ALL")
        admin.execute("UPDATE common_platformauditentry SET actor = 'staff:9' WHERE id = %s", [entry.id])

    assert platform_audit_verify().defects == (f"row {entry.id} was changed",)
