"""The notification centre."""

import django.db.models.deletion
from django.db import migrations, models

import apps.common.ids
from apps.common.operations import SecureTenantTable


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("tenants", "0002_add_acknowledgement"),
    ]

    operations = [
        migrations.CreateModel(
            name="Notification",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "severity",
                    models.CharField(
                        choices=[("info", "Information"), ("warning", "Warning"), ("danger", "Danger")],
                        default="info",
                        max_length=8,
                    ),
                ),
                ("kind", models.CharField(max_length=64)),
                ("text", models.CharField(max_length=500)),
                ("data", models.JSONField(default=dict)),
                (
                    "once_key",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="At most one notification of a tenant has this key.",
                        max_length=120,
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("read_at", models.DateTimeField(blank=True, null=True)),
                ("mailed_at", models.DateTimeField(blank=True, null=True)),
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
                    models.Index(fields=["tenant", "-created_at"], name="notification_newest"),
                    models.Index(
                        condition=models.Q(("mailed_at", None), ("severity", "danger")),
                        fields=["tenant"],
                        name="notification_to_mail",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("once_key", ""), _negated=True),
                        fields=("tenant", "once_key"),
                        name="notification_once",
                    )
                ],
            },
        ),
        SecureTenantTable("Notification"),
    ]
