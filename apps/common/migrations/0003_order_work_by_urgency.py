"""Urgent work is claimed before other work of its kind, along an index in the order of the claim."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("common", "0002_add_work_outbox_audit"),
        ("tenants", "0002_add_acknowledgement"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="workitem", name="work_item_due"),
        migrations.AddField(
            model_name="workitem",
            name="is_urgent",
            field=models.BooleanField(db_default=False, help_text="Handed out before others of its kind."),
        ),
        migrations.AddIndex(
            model_name="workitem",
            index=models.Index(fields=["kind", "-is_urgent", "due_at"], name="work_item_claim"),
        ),
    ]
