"""What a person agreed to, in which version; nobody rewrites it."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.common.ids
from apps.common.operations import SecureTenantTable


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0001_add_tenant_membership_route_key"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Acknowledgement",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                ("text_key", models.CharField(max_length=80)),
                ("version", models.PositiveIntegerField()),
                ("at", models.DateTimeField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tenants.tenant",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "user", "text_key", "version"), name="acknowledgement_once"
                    )
                ],
            },
        ),
        SecureTenantTable("Acknowledgement", append_only=True),
    ]
