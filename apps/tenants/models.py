"""Tenants, who belongs to them, and how a tenant is found before any scope is open."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from apps.common.db import TenantModel
from apps.common.ids import uuid7


class Tenant(models.Model):
    """One customer's account. Its own row policy compares `id` with the open scope."""

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        CLOSING = "closing", "Closing: exits only"
        CLOSED = "closed", "Closed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=120)
    status = models.CharField(max_length=16, choices=Status, default=Status.ACTIVE)
    is_demo = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


class Membership(TenantModel):
    """A person's role in a tenant. Also readable by that person (`app.user`) before a tenant is chosen."""

    class Role(models.TextChoices):
        OWNER = "owner", "Owner"
        MANAGER = "manager", "Manager"
        VIEWER = "viewer", "Viewer"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role, default=Role.VIEWER)
    notices = models.JSONField(
        default=dict, blank=True, help_text="apps.notifications.choices: how the person wants to be told."
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "user"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user_id} is {self.role}"


class RouteKey(TenantModel):
    """The way from something a stranger shows (a webhook path, an API key) to a tenant, by exact hash only.

    Read across tenants through the database function `arun_route(kind, hash)` and nothing else.
    """

    class Kind(models.TextChoices):
        WEBHOOK = "webhook", "webhook path"
        STRIPE_CUSTOMER = "stripe_customer", "Stripe customer"
        API_KEY = "api_key", "API key"
        INVITATION = "invitation", "invitation"
        EGRESS = "egress", "egress address"

    kind = models.CharField(max_length=24, choices=Kind)
    key_hash = models.CharField(max_length=64, help_text="SHA-256 of the key, hexadecimal.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        # Not led by the tenant: one key may belong to one tenant only, and nobody can list the others' keys.
        constraints = [models.UniqueConstraint(fields=["kind", "key_hash"], name="route_key_once")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.tenant_id}"


class Acknowledgement(TenantModel):
    """A person agreed to a text: the version of its wording, and the very words that were shown. Append-only."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    text_key = models.CharField(max_length=80)
    version = models.PositiveIntegerField()
    text = models.TextField(default="", help_text="What was shown, with the numbers that stood in it.")
    text_hash = models.CharField(max_length=64, default="", help_text="SHA-256 of the text, hexadecimal.")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "user", "text_key", "version", "text_hash"], name="acknowledgement_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.text_key} version {self.version} by {self.user_id}"
