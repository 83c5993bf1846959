"""How far a tenant's set-up has come, and what was answered so far."""

from django.db import models
from django.db.models.functions import Now

from apps.common.db import TenantForeignKey, TenantModel
from apps.onboarding.choices import Step


class SetupDraft(TenantModel):
    """The set-up of one account, from the first answer on. It stays after the end, as the root of the checklist.

    `typed` holds what stands in the forms as it was written, so that going back or logging out loses nothing; the
    other columns hold what was checked.
    """

    step = models.PositiveSmallIntegerField(
        choices=[(step.value, step.name) for step in Step],
        default=Step.BROKER.value,
        help_text="The first step that is not done.",
    )
    typed = models.JSONField(default=dict, help_text="By step, what was written into its fields.")
    connection = TenantForeignKey("brokers.BrokerConnection", null=True, related_name="+")
    plan = models.JSONField(null=True, help_text="apps.onboarding.plan.RiskPlan as JSON.")
    acknowledgement = TenantForeignKey("tenants.Acknowledgement", null=True, related_name="+")
    share_ids = models.JSONField(default=dict, help_text="By venue, the ids of the shares that were chosen.")
    import_id = models.UUIDField(null=True, help_text="The report on an uploaded list; it expires on its own.")
    is_import_used = models.BooleanField(default=False, help_text="Whether its good rows shall be watched.")
    bot = TenantForeignKey("trading.Bot", null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, help_text="Business time.")
    second_factor_asked_at = models.DateTimeField(null=True, help_text="Business time of the answer to the offer.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant"], name="setup_draft_once")]

    def __str__(self) -> str:
        return f"set-up at step {self.step}"

    @property
    def open_step(self) -> Step:
        return Step(self.step)
