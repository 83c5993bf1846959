"""Which TOTP code a person used last, so that none counts twice."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_add_user"),
    ]

    operations = [
        migrations.CreateModel(
            name="TotpUse",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "last_step",
                    models.BigIntegerField(help_text="Seconds since 1970 divided by the length of a step."),
                ),
            ],
        ),
    ]
