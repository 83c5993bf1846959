"""The notification centre: what the platform told a tenant, and the mails that carry it out of the house."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from apps.common.db import TenantForeignKey, TenantModel


class Notification(TenantModel):
    """One message to everybody in the tenant: what happened, what ARUN did about it, what the reader can do."""

    class Severity(models.TextChoices):
        INFO = "info", "Information"
        WARNING = "warning", "Warning"
        DANGER = "danger", "Danger"

    severity = models.CharField(max_length=8, choices=Severity, default=Severity.INFO)
    kind = models.CharField(max_length=64)
    title = models.CharField(max_length=100, blank=True, help_text="A few words, for the subject of a mail.")
    text = models.CharField(max_length=500, help_text="What happened.")
    did = models.CharField(max_length=400, blank=True, help_text="What ARUN did about it.")
    can_do = models.CharField(max_length=400, blank=True, help_text="What the reader can do.")
    data = models.JSONField(default=dict, help_text="Ids of what it is about, and `bots`: whom a Stop would help.")
    once_key = models.CharField(
        max_length=120, blank=True, default="", help_text="At most one notification of a tenant has this key."
    )
    fold_key = models.CharField(
        max_length=120, blank=True, help_text="What it is about: the same again soon is counted here, not told anew."
    )
    count = models.PositiveIntegerField(default=1, help_text="How often it happened.")
    folded_keys = models.JSONField(default=list, help_text="The newest once_keys that were counted here.")
    created_at = models.DateTimeField(help_text="Business time of the first time.")
    last_at = models.DateTimeField(help_text="Business time of the newest time.")
    read_at = models.DateTimeField(null=True, blank=True)
    read_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "-last_at", "-id"], name="notification_newest"),
            models.Index(fields=["tenant", "severity"], name="notification_unread", condition=models.Q(read_at=None)),
            models.Index(
                fields=["tenant", "fold_key", "-created_at"],
                name="notification_fold",
                condition=~models.Q(fold_key=""),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "once_key"], name="notification_once", condition=~models.Q(once_key="")
            )
        ]

    def __str__(self) -> str:
        return f"{self.severity}: {self.text}"


class MailDelivery(TenantModel):
    """One mail to one person about one notification, written with it and due until the mail server has taken it.

    `attempts` counts claims, so a mail that kills its worker is counted as well, and it is the claim's fence. A worker
    that dies between the mail server's answer and its note sends again: one mail too many rather than none.
    """

    class State(models.TextChoices):
        WAITING = "WAITING", "Waits"
        SENT = "SENT", "Taken by the mail server"
        PARKED = "PARKED", "Given up"

    notification = TenantForeignKey(Notification, related_name="deliveries")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, help_text="Database time until which a claim holds.")
    error = models.CharField(max_length=300, blank=True, help_text="What the last try met.")
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True, help_text="Business time.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "notification", "user"], name="mail_once_per_person"),
            models.CheckConstraint(
                condition=models.Q(state="SENT") ^ models.Q(sent_at=None), name="mail_sent_has_its_time"
            ),
        ]

    def __str__(self) -> str:
        return f"mail {self.state} about {self.notification_id}"
