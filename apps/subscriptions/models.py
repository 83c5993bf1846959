"""Plans, and which tenant is on which. A plan is global and holds no tenant's data."""

from django.db import models
from django.db.models.functions import Now

from apps.common.db import TenantModel


class Plan(models.Model):
    """What is sold, for how much, and what it allows. A limit that is empty is settled by contract.

    Only plans with `is_sold` may be offered: all they promise is built.
    """

    code = models.SlugField(primary_key=True, max_length=32)
    name = models.CharField(max_length=60)
    rank = models.PositiveSmallIntegerField(unique=True, help_text="Order on the price page, cheapest first.")
    price_monthly = models.DecimalField(
        max_digits=10, decimal_places=2, null=True, blank=True, help_text="Rupees including GST; empty: by contract."
    )
    price_yearly = models.DecimalField(max_digits=10, decimal_places=2, null=True, blank=True)
    max_bots = models.PositiveIntegerField(null=True, blank=True)
    max_instruments = models.PositiveIntegerField(null=True, blank=True)
    max_live_connections = models.PositiveIntegerField(null=True, blank=True, help_text="0: the paper broker only.")
    highest_mode = models.CharField(max_length=16, default="paper")
    max_backtests_per_day = models.PositiveIntegerField(null=True, blank=True)
    max_api_keys = models.PositiveIntegerField(null=True, blank=True)
    max_seats = models.PositiveIntegerField(null=True, blank=True)
    channels = models.JSONField(default=list, help_text="Notification channels by name.")
    support_level = models.CharField(max_length=40)
    is_sold = models.BooleanField(default=False)

    class Meta:
        ordering = ["rank"]

    def __str__(self) -> str:
        return self.name


class Subscription(TenantModel):
    """The tenant's plan. A tenant without a row is on the free plan."""

    class Status(models.TextChoices):
        FREE = "free", "Free"
        TRIALING = "trialing", "Trial"
        ACTIVE = "active", "Active"
        PAST_DUE = "past_due", "Payment overdue"
        INCOMPLETE = "incomplete", "First payment missing"
        INCOMPLETE_EXPIRED = "incomplete_expired", "First payment never came"
        UNPAID = "unpaid", "Unpaid"
        PAUSED = "paused", "Paused"
        CANCELED = "canceled", "Canceled"

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=24, choices=Status, default=Status.FREE)
    period_ends_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant"], name="subscription_once")]

    def __str__(self) -> str:
        return f"{self.plan_id} {self.status}"
