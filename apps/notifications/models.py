"""The notification centre: what the platform told a tenant."""

from django.db import models

from apps.common.db import TenantModel


class Notification(TenantModel):
    """One message to everybody in the tenant."""

    class Severity(models.TextChoices):
        INFO = "info", "Information"
        WARNING = "warning", "Warning"
        DANGER = "danger", "Danger"

    severity = models.CharField(max_length=8, choices=Severity, default=Severity.INFO)
    kind = models.CharField(max_length=64)
    text = models.CharField(max_length=500)
    data = models.JSONField(default=dict)
    once_key = models.CharField(
        max_length=120, blank=True, default="", help_text="At most one notification of a tenant has this key."
    )
    created_at = models.DateTimeField()
    read_at = models.DateTimeField(null=True, blank=True)
    mailed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "-created_at"], name="notification_newest"),
            models.Index(
                fields=["tenant"], name="notification_to_mail", condition=models.Q(severity="danger", mailed_at=None)
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "once_key"], name="notification_once", condition=~models.Q(once_key="")
            )
        ]

    def __str__(self) -> str:
        return f"{self.severity}: {self.text}"
