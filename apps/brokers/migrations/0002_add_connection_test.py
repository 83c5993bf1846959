"""Whether a broker answers, asked on a customer's wish."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import apps.common.db
import apps.common.ids
from apps.common.operations import SecureTenantTable


class Migration(migrations.Migration):
    dependencies = [
        ("brokers", "0001_add_broker_connection"),
        ("tenants", "0002_add_acknowledgement"),
    ]

    operations = [
        migrations.CreateModel(
            name="ConnectionTest",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("requested_by", models.CharField(max_length=80)),
                (
                    "requested_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), help_text="Database time."
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Asking the broker"),
                            ("passed", "The broker answered"),
                            ("failed", "The broker did not let us in, or did not answer"),
                        ],
                        default="waiting",
                        max_length=8,
                    ),
                ),
                (
                    "session_state",
                    models.CharField(
                        choices=[
                            ("UNKNOWN", "Not asked yet"),
                            ("ALIVE", "Connected"),
                            ("EXPIRED", "Log in again"),
                            ("COMPETING", "Used elsewhere"),
                            ("NOT_PROVISIONED", "Not allowed by the broker"),
                            ("DEGRADED", "Broker in trouble"),
                        ],
                        default="UNKNOWN",
                        max_length=16,
                    ),
                ),
                (
                    "deployable",
                    models.DecimalField(
                        decimal_places=2,
                        help_text="Rupees that the broker says an order may use.",
                        max_digits=16,
                        null=True,
                    ),
                ),
                (
                    "problem",
                    models.CharField(
                        blank=True, help_text="Code of the error that came instead of an answer.", max_length=40
                    ),
                ),
                ("finished_at", models.DateTimeField(help_text="Database time.", null=True)),
                (
                    "connection",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="tests",
                        to="brokers.brokerconnection",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["tenant", "connection", "-requested_at"], name="connection_test_newest")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "waiting")),
                        fields=("tenant", "connection"),
                        name="connection_test_one_waiting",
                    )
                ],
            },
        ),
        SecureTenantTable("ConnectionTest"),
    ]
