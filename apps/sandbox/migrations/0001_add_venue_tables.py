import uuid
from decimal import Decimal

import django.db.models.deletion
from django.db import migrations, models

import apps.sandbox.models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Account",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("ref", models.CharField(max_length=40, unique=True)),
                (
                    "venue",
                    models.CharField(
                        choices=[
                            ("SIM", "Simulated market, settles at once"),
                            ("NSE", "Real market on paper, settles the next trading day"),
                        ],
                        max_length=8,
                    ),
                ),
                ("opening_cash", apps.sandbox.models.MoneyField(decimal_places=2, max_digits=18)),
                ("cash", apps.sandbox.models.MoneyField(decimal_places=2, max_digits=18)),
                ("is_logged_in", models.BooleanField(default=True)),
                (
                    "session_no",
                    models.PositiveIntegerField(
                        default=1, help_text="Grows with each logout; late requests compare it."
                    ),
                ),
                (
                    "fill_limit",
                    models.PositiveIntegerField(
                        help_text="Most shares that an order gets in one second; 0 lets nothing fill.", null=True
                    ),
                ),
                ("slippage_bps", models.DecimalField(decimal_places=2, default=Decimal("2"), max_digits=6)),
                ("opened_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="LateRequest",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("session_no", models.PositiveIntegerField()),
                ("method", models.CharField(max_length=8)),
                ("broker_order_id", models.CharField(blank=True, max_length=16)),
                ("body", models.JSONField()),
                ("due_at", models.DateTimeField(db_index=True)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="late_requests", to="sandbox.account"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("request_id", models.UUIDField(unique=True)),
                ("tag", models.CharField(blank=True, max_length=40)),
                ("exchange", models.CharField(max_length=8)),
                ("tradingsymbol", models.CharField(max_length=32)),
                ("side", models.CharField(max_length=4)),
                ("order_type", models.CharField(max_length=8)),
                ("product", models.CharField(max_length=4)),
                ("validity", models.CharField(max_length=4)),
                ("quantity", models.PositiveIntegerField()),
                ("filled_quantity", models.PositiveIntegerField(default=0)),
                ("average_price", apps.sandbox.models.PriceField(decimal_places=4, max_digits=14, null=True)),
                (
                    "turnover",
                    apps.sandbox.models.PriceField(
                        decimal_places=4, default=Decimal("0"), help_text="Rupees traded so far.", max_digits=20
                    ),
                ),
                ("charges", apps.sandbox.models.MoneyField(decimal_places=2, default=Decimal("0"), max_digits=18)),
                ("limit_price", apps.sandbox.models.PriceField(decimal_places=4, max_digits=14, null=True)),
                ("trigger_price", apps.sandbox.models.PriceField(decimal_places=4, max_digits=14, null=True)),
                (
                    "worst_price",
                    apps.sandbox.models.PriceField(
                        decimal_places=4,
                        help_text="The price that funds are held back for; caps a protected market order.",
                        max_digits=14,
                    ),
                ),
                ("is_triggered", models.BooleanField(default=False)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("OPEN", "Open"),
                            ("TRIGGER PENDING", "Trigger Pending"),
                            ("COMPLETE", "Complete"),
                            ("CANCELLED", "Cancelled"),
                            ("REJECTED", "Rejected"),
                            ("EXPIRED", "Expired"),
                        ],
                        max_length=16,
                    ),
                ),
                ("reject_reason", models.CharField(blank=True, max_length=200)),
                ("accepted_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                (
                    "recorded_at",
                    models.DateTimeField(help_text="When the venue wrote the last change down; later after an outage."),
                ),
                ("expires_at", models.DateTimeField()),
                ("matched_until", models.BigIntegerField(help_text="Unix second up to which prices were matched.")),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="orders", to="sandbox.account"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="OrderEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("recorded_at", models.DateTimeField()),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("OPEN", "Open"),
                            ("TRIGGER PENDING", "Trigger Pending"),
                            ("COMPLETE", "Complete"),
                            ("CANCELLED", "Cancelled"),
                            ("REJECTED", "Rejected"),
                            ("EXPIRED", "Expired"),
                        ],
                        max_length=16,
                    ),
                ),
                ("quantity", models.PositiveIntegerField()),
                ("filled_quantity", models.PositiveIntegerField()),
                ("average_price", apps.sandbox.models.PriceField(decimal_places=4, max_digits=14, null=True)),
                ("limit_price", apps.sandbox.models.PriceField(decimal_places=4, max_digits=14, null=True)),
                ("trigger_price", apps.sandbox.models.PriceField(decimal_places=4, max_digits=14, null=True)),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="events", to="sandbox.order"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Trade",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("exchange", models.CharField(max_length=8)),
                ("tradingsymbol", models.CharField(max_length=32)),
                ("side", models.CharField(max_length=4)),
                ("product", models.CharField(max_length=4)),
                ("quantity", models.PositiveIntegerField()),
                ("price", apps.sandbox.models.PriceField(decimal_places=4, max_digits=14)),
                ("charges", apps.sandbox.models.MoneyField(decimal_places=2, max_digits=18)),
                ("at", models.DateTimeField()),
                ("traded_on", models.DateField(help_text="Date in India.")),
                ("recorded_at", models.DateTimeField()),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="trades", to="sandbox.account"
                    ),
                ),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="trades", to="sandbox.order"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Fault",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("lose_request", "read, forgotten, connection closed"),
                            ("lose_reply", "carried out, connection closed without an answer"),
                            ("delay_reply", "carried out, answered `seconds` later"),
                            ("accept_late", "never answered, carried out `seconds` later"),
                            ("reject", "refused with `text`"),
                            ("http_status", "answered with `status`; carried out before only when `accept` is set"),
                            ("html", "answered with a page of HTML; carried out before when `accept` is set"),
                            ("cut_json", "carried out, half of the answer sent"),
                            ("missing_id", "carried out, answered without the order's id"),
                            ("drip", "carried out, answered one byte every `seconds`"),
                            ("wrong_account", "carried out, answered in another account's name"),
                            ("stale_book", "order and trade book as they were `seconds` ago"),
                            ("tagless_book", "order book without tags"),
                            ("paged_book", "first row of the books only, and said so"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "scope",
                    models.CharField(
                        choices=[("write", "Write"), ("read", "Read"), ("both", "Both")], default="write", max_length=8
                    ),
                ),
                (
                    "remaining",
                    models.PositiveIntegerField(
                        help_text="Hits left; null: as `probability` says, for ever.", null=True
                    ),
                ),
                ("probability", models.FloatField(null=True)),
                ("seed", models.BigIntegerField(default=0)),
                (
                    "drawn",
                    models.PositiveIntegerField(
                        default=0, help_text="Requests looked at; with `seed` it makes each draw."
                    ),
                ),
                ("seconds", models.FloatField(default=0)),
                ("status", models.PositiveSmallIntegerField(default=502)),
                ("accept", models.BooleanField(default=False)),
                ("text", models.CharField(blank=True, max_length=200)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="faults", to="sandbox.account"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("probability__isnull", True), ("remaining__isnull", False)),
                            models.Q(("probability__gte", 0), ("probability__lte", 1), ("remaining__isnull", True)),
                            _connector="OR",
                        ),
                        name="sandbox_fault_next_or_chance",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Lot",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("exchange", models.CharField(max_length=8)),
                ("tradingsymbol", models.CharField(max_length=32)),
                ("quantity", models.PositiveIntegerField()),
                ("average_price", apps.sandbox.models.PriceField(decimal_places=4, max_digits=14)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="lots", to="sandbox.account"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("account", "exchange", "tradingsymbol"), name="sandbox_lot_once")
                ],
            },
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(
                condition=models.Q(("status__in", ("OPEN", "TRIGGER PENDING"))),
                fields=["account"],
                name="sandbox_order_working",
            ),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(fields=["account", "recorded_at"], name="sandbox_order_book"),
        ),
        migrations.AddConstraint(
            model_name="order",
            constraint=models.CheckConstraint(
                condition=models.Q(("filled_quantity__lte", models.F("quantity"))), name="sandbox_order_not_overfilled"
            ),
        ),
        migrations.AddConstraint(
            model_name="order",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("filled_quantity", models.F("quantity")), ("status", "COMPLETE")),
                    models.Q(("status", "COMPLETE"), _negated=True),
                    _connector="OR",
                ),
                name="sandbox_order_complete_is_filled",
            ),
        ),
        migrations.AddIndex(
            model_name="orderevent",
            index=models.Index(fields=["order", "id"], name="sandbox_event_order"),
        ),
        migrations.AddIndex(
            model_name="trade",
            index=models.Index(fields=["account", "recorded_at"], name="sandbox_trade_book"),
        ),
        migrations.AddIndex(
            model_name="trade",
            index=models.Index(fields=["account", "traded_on"], name="sandbox_trade_day"),
        ),
    ]
