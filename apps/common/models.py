"""The platform's plumbing in PostgreSQL: due work, the outbox, the audit log, heartbeats."""

from django.db import models
from django.db.models.functions import Now

from apps.common.db import TenantModel
from apps.common.ids import uuid7


class CurrentTransactionId(models.Func):
    """The id of the transaction that writes the row, as an eight-byte number that never wraps."""

    template = "pg_current_xact_id()::text::bigint"
    output_field = models.BigIntegerField()


class WorkItem(models.Model):
    """One thing that is due for one tenant. The only table that is claimed across tenants (role `arun_dispatch`)."""

    class Kind(models.TextChoices):
        CYCLE = "cycle", "trading cycle of a bot"
        ORDER = "order", "an order intent that is not settled"
        STOP = "stop", "a stop that is draining"
        RECONCILE = "reconcile", "comparison of a connection with its broker"
        PLATFORM = "platform", "an account that stops above the tenants find"
        MAIL = "mail", "a mail that has not left"
        HOURS = "hours", "a bot that starts and pauses by the calendar"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=16, choices=Kind)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, related_name="+", db_index=False)
    object_id = models.UUIDField()
    due_at = models.DateTimeField(help_text="Business time (UTC) from which the item may be claimed.")
    is_urgent = models.BooleanField(db_default=False, help_text="Handed out before others of its kind.")
    lease_until = models.DateTimeField(null=True, blank=True, help_text="Database time until which a claim holds.")
    fence = models.BigIntegerField(default=0, help_text="Number of claims so far.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "kind", "object_id"], name="work_item_once")]
        # In the order of a claim, which walks along it and stops at its limit.
        indexes = [models.Index(fields=["kind", "-is_urgent", "due_at"], name="work_item_claim")]

    def __str__(self) -> str:
        return f"{self.kind} {self.object_id} due {self.due_at:%H:%M:%S}"


class OutboxEvent(models.Model):
    """Something that happened, written in the transaction in which it happened; the relay tells the world."""

    id = models.BigAutoField(primary_key=True)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=64)
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())
    seq = models.BigIntegerField(null=True, help_text="Place in the tenant's stream; given by the relay.")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Times a handler failed on it.")
    retry_at = models.DateTimeField(null=True, help_text="Database time before which the relay leaves it alone.")
    published_at = models.DateTimeField(null=True)
    parked_at = models.DateTimeField(null=True, help_text="When the relay gave up on a handler.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "seq"], name="outbox_seq_once")]
        indexes = [
            models.Index(fields=["id"], name="outbox_unnumbered", condition=models.Q(seq=None)),
            models.Index(fields=["id"], name="outbox_waiting", condition=models.Q(published_at=None)),
            models.Index(fields=["published_at"], name="outbox_by_age", condition=models.Q(published_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} #{self.id}"


class TenantStream(models.Model):
    """The last sequence number that the relay gave in a tenant's stream."""

    tenant = models.OneToOneField("tenants.Tenant", on_delete=models.CASCADE, primary_key=True, related_name="+")
    last_seq = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.tenant_id} at {self.last_seq}"


class AuditEntry(TenantModel):
    """Who did what to what, in the transaction in which it was done. Append-only."""

    actor = models.CharField(max_length=80, help_text="user:<id>, staff:<id> or process:<name>")
    action = models.CharField(max_length=80)
    subject = models.CharField(max_length=120, blank=True)
    data = models.JSONField(default=dict)
    at = models.DateTimeField()
    xid = models.BigIntegerField(db_default=CurrentTransactionId())
    row_hash = models.CharField(max_length=64, help_text="SHA-256 of the canonical row.")

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "at"], name="audit_by_time"),
            # Not led by the tenant: the relay seals all tenants' rows, the newest transactions first on its mind.
            models.Index(fields=["xid"], name="audit_by_transaction"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.subject}"


class AuditLink(models.Model):
    """One link of a tenant's audit chain, sealed by the relay soon after the entry's commit. Append-only."""

    entry_id = models.UUIDField(primary_key=True)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.PROTECT, related_name="+", db_index=False)
    seq = models.BigIntegerField()
    previous_hash = models.CharField(max_length=64)
    chain_hash = models.CharField(max_length=64, help_text="SHA-256(previous_hash || row_hash)")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "seq"], name="audit_link_seq_once")]

    def __str__(self) -> str:
        return f"{self.tenant_id} #{self.seq}"


class PlatformAuditEntry(models.Model):
    """What the operator's staff did to the whole platform, in the transaction in which it was done. Append-only.

    Global: no tenant's data goes into it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    actor = models.CharField(max_length=80, help_text="staff:<id> or process:<name>")
    action = models.CharField(max_length=80)
    subject = models.CharField(max_length=120, blank=True)
    data = models.JSONField(default=dict)
    at = models.DateTimeField()
    xid = models.BigIntegerField(db_default=CurrentTransactionId())
    row_hash = models.CharField(max_length=64, help_text="SHA-256 of the canonical row.")

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.subject}"


class PlatformAuditLink(models.Model):
    """One link of the platform's own audit chain, sealed by the relay as those of the tenants are. Append-only."""

    entry_id = models.UUIDField(primary_key=True)
    seq = models.BigIntegerField(unique=True)
    previous_hash = models.CharField(max_length=64)
    chain_hash = models.CharField(max_length=64, help_text="SHA-256(previous_hash || row_hash)")

    def __str__(self) -> str:
        return f"platform #{self.seq}"


class Heartbeat(models.Model):
    """When a component was last seen doing its work. Holds nothing of any tenant."""

    component = models.CharField(max_length=40)
    instance = models.CharField(max_length=120)
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["component", "instance"], name="heartbeat_once")]

    def __str__(self) -> str:
        return f"{self.component} seen {self.seen_at}"
