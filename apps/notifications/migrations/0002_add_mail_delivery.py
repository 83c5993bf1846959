"""Mails as rows that are due until the mail server has taken them, and notifications that fold and name the cure."""

import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import apps.common.db
import apps.common.ids
from apps.common.operations import SecureTenantTable


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0001_add_notification"),
        ("tenants", "0003_add_membership_notices"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveIndex(model_name="notification", name="notification_newest"),
        migrations.RemoveIndex(model_name="notification", name="notification_to_mail"),
        migrations.RemoveField(model_name="notification", name="mailed_at"),
        migrations.AddField(
            model_name="notification",
            name="title",
            field=models.CharField(blank=True, help_text="A few words, for the subject of a mail.", max_length=100),
        ),
        migrations.AddField(
            model_name="notification",
            name="did",
            field=models.CharField(blank=True, help_text="What ARUN did about it.", max_length=400),
        ),
        migrations.AddField(
            model_name="notification",
            name="can_do",
            field=models.CharField(blank=True, help_text="What the reader can do.", max_length=400),
        ),
        migrations.AddField(
            model_name="notification",
            name="fold_key",
            field=models.CharField(
                blank=True,
                help_text="What it is about: the same again soon is counted here, not told anew.",
                max_length=120,
            ),
        ),
        migrations.AddField(
            model_name="notification",
            name="count",
            field=models.PositiveIntegerField(default=1, help_text="How often it happened."),
        ),
        migrations.AddField(
            model_name="notification",
            name="folded_keys",
            field=models.JSONField(default=list, help_text="The newest once_keys that were counted here."),
        ),
        migrations.AddField(
            model_name="notification",
            name="last_at",
            field=models.DateTimeField(
                default=django.utils.timezone.now, help_text="Business time of the newest time."
            ),
            preserve_default=False,
        ),
        migrations.RunSQL("UPDATE notifications_notification SET last_at = created_at", migrations.RunSQL.noop),
        migrations.AddField(
            model_name="notification",
            name="read_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AlterField(
            model_name="notification",
            name="created_at",
            field=models.DateTimeField(help_text="Business time of the first time."),
        ),
        migrations.AlterField(
            model_name="notification",
            name="data",
            field=models.JSONField(
                default=dict, help_text="Ids of what it is about, and `bots`: whom a Stop would help."
            ),
        ),
        migrations.AlterField(
            model_name="notification",
            name="text",
            field=models.CharField(help_text="What happened.", max_length=500),
        ),
        migrations.AddIndex(
            model_name="notification",
            index=models.Index(fields=["tenant", "-last_at", "-id"], name="notification_newest"),
        ),
        migrations.AddIndex(
            model_name="notification",
            index=models.Index(
                fields=["tenant", "severity"], name="notification_unread", condition=models.Q(read_at=None)
            ),
        ),
        migrations.AddIndex(
            model_name="notification",
            index=models.Index(
                fields=["tenant", "fold_key", "-created_at"],
                name="notification_fold",
                condition=models.Q(("fold_key", ""), _negated=True),
            ),
        ),
        migrations.CreateModel(
            name="MailDelivery",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.common.ids.uuid7, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[("WAITING", "Waits"), ("SENT", "Taken by the mail server"), ("PARKED", "Given up")],
                        default="WAITING",
                        max_length=8,
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0)),
                (
                    "lease_until",
                    models.DateTimeField(help_text="Database time until which a claim holds.", null=True),
                ),
                ("error", models.CharField(blank=True, help_text="What the last try met.", max_length=300)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("sent_at", models.DateTimeField(help_text="Business time.", null=True)),
                (
                    "notification",
                    apps.common.db.TenantForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="deliveries",
                        to="notifications.notification",
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
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "notification", "user"), name="mail_once_per_person"),
                    models.CheckConstraint(
                        condition=models.Q(("state", "SENT"), ("sent_at", None), _connector="XOR"),
                        name="mail_sent_has_its_time",
                    ),
                ],
            },
        ),
        SecureTenantTable("MailDelivery"),
    ]
