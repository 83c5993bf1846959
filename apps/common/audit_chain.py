"""The audit log's chains: the relay links each tenant's rows one by one, and the platform's own, and anybody may check
that nothing changed.

A chain cannot show that its end was cut off; for that its newest hash has to be kept where the database cannot reach.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper

from apps.common.audit import chain_hash, first_hash, row_hash
from apps.common.db import tenant_scope
from apps.common.models import AuditEntry, AuditLink, PlatformAuditEntry, PlatformAuditLink

ALIAS = "relay"
SEAL_AT_ONCE = 1000
_SEALING_LOCK = 0x61756474  # "audt": two sealers would fork a chain; the unique (tenant, seq) is the wall behind it

# Every transaction below this is over: once all rows are linked, none below it can ever come.
_ALL_OVER_BELOW = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
_UNSEALED = """
SELECT entry.id, entry.tenant_id, entry.row_hash
FROM common_auditentry AS entry
LEFT JOIN common_auditlink AS link ON link.entry_id = entry.id
WHERE entry.xid >= %s AND link.entry_id IS NULL
ORDER BY entry.xid, entry.id LIMIT %s
"""
_HEADS = """
SELECT DISTINCT ON (tenant_id) tenant_id, seq, chain_hash
FROM common_auditlink WHERE tenant_id = ANY(%s) ORDER BY tenant_id, seq DESC
"""
_PLATFORM_UNSEALED = """
SELECT entry.id, entry.row_hash
FROM common_platformauditentry AS entry
LEFT JOIN common_platformauditlink AS link ON link.entry_id = entry.id
WHERE link.entry_id IS NULL
ORDER BY entry.xid, entry.id LIMIT %s
"""


class Sealer:
    """Links audit rows in batches. It remembers below which transaction everything is linked already."""

    def __init__(self) -> None:
        self._floor = 0

    def seal(self) -> int:
        """Link the rows that no link names yet; return how many."""
        with transaction.atomic(using=ALIAS), connections[ALIAS].cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_SEALING_LOCK])
            got = cursor.fetchone()
            if got is None or not got[0]:
                return 0
            cursor.execute(_ALL_OVER_BELOW)  # before the rows are read, or one could slip in between
            over = cursor.fetchone()
            cursor.execute(_UNSEALED, [self._floor, SEAL_AT_ONCE])
            rows = cursor.fetchall()
            self._link(cursor, rows)
            of_platform = self._link_platform(cursor)
        if len(rows) < SEAL_AT_ONCE and over is not None:
            self._floor = over[0]
        return len(rows) + of_platform

    @staticmethod
    def _link(cursor: CursorWrapper, rows: list[tuple[UUID, UUID, str]]) -> None:
        if not rows:
            return
        cursor.execute(_HEADS, [list({tenant_id for _, tenant_id, _ in rows})])
        heads: dict[UUID, tuple[int, str]] = {tenant_id: (seq, own) for tenant_id, seq, own in cursor.fetchall()}
        links = []
        for entry_id, tenant_id, own_hash in rows:
            seq, previous = heads.get(tenant_id) or (0, first_hash(tenant_id))
            link = AuditLink(
                entry_id=entry_id,
                tenant_id=tenant_id,
                seq=seq + 1,
                previous_hash=previous,
                chain_hash=chain_hash(previous, own_hash),
            )
            heads[tenant_id] = (link.seq, link.chain_hash)
            links.append(link)
        AuditLink.objects.using(ALIAS).bulk_create(links)

    @staticmethod
    def _link_platform(cursor: CursorWrapper) -> int:
        cursor.execute(_PLATFORM_UNSEALED, [SEAL_AT_ONCE])
        rows: list[tuple[UUID, str]] = cursor.fetchall()
        if not rows:
            return 0
        head = PlatformAuditLink.objects.using(ALIAS).order_by("-seq").values_list("seq", "chain_hash").first()
        seq, previous = head or (0, first_hash(None))
        links = []
        for entry_id, own_hash in rows:
            seq, own = seq + 1, chain_hash(previous, own_hash)
            links.append(PlatformAuditLink(entry_id=entry_id, seq=seq, previous_hash=previous, chain_hash=own))
            previous = own
        PlatformAuditLink.objects.using(ALIAS).bulk_create(links)
        return len(links)


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditReport:
    """What a check of a chain found. `defects` is empty when nothing was changed, added or taken away."""

    linked: int
    unlinked: int
    head: str
    defects: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        return not self.defects


def audit_verify(tenant_id: UUID) -> AuditReport:
    """Recompute every row's hash and every link of the tenant's chain. Opens the tenant's scope itself."""
    with tenant_scope(tenant_id):
        entries = {entry.id: entry for entry in AuditEntry.objects.all().iterator()}
        links = list(AuditLink.objects.filter(tenant_id=tenant_id).order_by("seq"))
    return _verify(entries, links, first_hash(tenant_id))


def platform_audit_verify() -> AuditReport:
    """Recompute every row's hash and every link of the platform's own chain."""
    entries = {entry.id: entry for entry in PlatformAuditEntry.objects.all().iterator()}
    return _verify(entries, list(PlatformAuditLink.objects.order_by("seq")), first_hash(None))


def _verify(
    entries: Mapping[UUID, AuditEntry | PlatformAuditEntry],
    links: Sequence[AuditLink | PlatformAuditLink],
    first: str,
) -> AuditReport:
    defects = [f"row {entry.id} was changed" for entry in entries.values() if row_hash(entry) != entry.row_hash]
    previous = first
    for place, link in enumerate(links, start=1):
        entry = entries.get(link.entry_id)
        if link.seq != place:
            defects.append(f"link {place} is missing")
            break
        if entry is None:
            defects.append(f"row {link.entry_id} of link {place} is missing")
            break
        if link.previous_hash != previous or link.chain_hash != chain_hash(previous, entry.row_hash):
            defects.append(f"link {place} does not follow from the one before it")
            break
        previous = link.chain_hash
    linked = {link.entry_id for link in links}
    return AuditReport(linked=len(links), unlinked=len(entries.keys() - linked), head=previous, defects=tuple(defects))
