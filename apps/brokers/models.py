"""A customer's connection to a broker."""

from decimal import Decimal

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now

from apps.brokers.choices import Broker, ConnectionMode, SessionState, TestState, Venue
from apps.common.db import TenantForeignKey, TenantModel


class BrokerConnection(TenantModel):
    """One account at one broker. Which adapter serves it follows from `broker` and nothing else."""

    broker = models.CharField(max_length=16, choices=Broker)
    label = models.CharField(max_length=80)
    venue = models.CharField(max_length=8, choices=Venue)
    account_ref = models.CharField(max_length=40, help_text="The account's name at the broker.")
    mode = models.CharField(max_length=8, choices=ConnectionMode, default=ConnectionMode.PAPER)
    opening_cash = models.DecimalField(
        max_digits=16,
        decimal_places=2,
        default=Decimal(0),
        validators=[MinValueValidator(Decimal(0))],
        help_text="Rupees a paper account starts with; 0 at a real broker.",
    )
    session_state = models.CharField(max_length=16, choices=SessionState, default=SessionState.UNKNOWN)
    session_message = models.CharField(max_length=200, blank=True)
    session_checked_at = models.DateTimeField(null=True, blank=True)
    late_acceptance_seconds = models.PositiveIntegerField(
        null=True, blank=True, help_text="Replaces the broker's own bound (W) for this connection."
    )
    book_lag_seconds = models.PositiveIntegerField(
        null=True, blank=True, help_text="Replaces the broker's own bound (V) for this connection."
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "broker", "account_ref"], name="broker_connection_once"),
            models.CheckConstraint(condition=models.Q(opening_cash__gte=0), name="broker_connection_cash_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.label} ({self.broker})"

    @property
    def is_simulated(self) -> bool:
        """Whether the prices are made up; such a connection is labelled SIMULATED everywhere."""
        return self.venue == Venue.SIM

    @property
    def is_paper(self) -> bool:
        """Whether no real money can move."""
        return self.broker == Broker.PAPER


class ConnectionTest(TenantModel):
    """Somebody asked whether the broker answers for this connection, and what it answered. A worker asks it."""

    connection = TenantForeignKey(BrokerConnection, related_name="tests")
    requested_by = models.CharField(max_length=80)
    requested_at = models.DateTimeField(db_default=Now(), help_text="Database time.")
    state = models.CharField(max_length=8, choices=TestState, default=TestState.WAITING)
    session_state = models.CharField(max_length=16, choices=SessionState, default=SessionState.UNKNOWN)
    deployable = models.DecimalField(
        max_digits=16, decimal_places=2, null=True, help_text="Rupees that the broker says an order may use."
    )
    problem = models.CharField(max_length=40, blank=True, help_text="Code of the error that came instead of an answer.")
    finished_at = models.DateTimeField(null=True, help_text="Database time.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "connection"],
                name="connection_test_one_waiting",
                condition=models.Q(state=TestState.WAITING),
            ),
        ]
        indexes = [models.Index(fields=["tenant", "connection", "-requested_at"], name="connection_test_newest")]

    def __str__(self) -> str:
        return f"test of {self.connection_id}: {self.state}"
