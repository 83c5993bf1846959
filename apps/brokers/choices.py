"""The closed sets of a broker connection."""

from django.db import models


class Broker(models.TextChoices):
    """The brokers that have an adapter."""

    PAPER = "paper", "Paper trading"


class Venue(models.TextChoices):
    """The market a connection trades on, which decides its calendar and settlement."""

    SIM = "SIM", "Simulated market"
    NSE = "NSE", "National Stock Exchange of India"


class ConnectionMode(models.TextChoices):
    """How far the platform may go on its own with this connection, from the safest up."""

    PAPER = "paper", "Paper"
    ALERT = "alert", "Tell me only"
    APPROVE = "approve", "Ask before each order"
    AUTO = "auto", "Trade on its own"


class SessionState(models.TextChoices):
    """What was last heard of the broker's session; UNKNOWN until it was asked for the first time."""

    UNKNOWN = "UNKNOWN", "Not asked yet"
    ALIVE = "ALIVE", "Connected"
    EXPIRED = "EXPIRED", "Log in again"
    COMPETING = "COMPETING", "Used elsewhere"
    NOT_PROVISIONED = "NOT_PROVISIONED", "Not allowed by the broker"
    DEGRADED = "DEGRADED", "Broker in trouble"


class TestState(models.TextChoices):
    """How far a test of a connection has come."""

    __test__ = False

    WAITING = "waiting", "Asking the broker"
    PASSED = "passed", "The broker answered"
    FAILED = "failed", "The broker did not let us in, or did not answer"
