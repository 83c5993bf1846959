"""Runs inside a running copy's environment (`python -m arun_saas.embedded exec python -m tests.process.drive ...`).

Each command prints one JSON document, last.
"""

import hashlib
import hmac
import json
import os
import sys
import time
import urllib.request
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import django
import psycopg

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arun_saas.settings.development")
django.setup()

from django.conf import settings  # noqa: E402

from apps.brokers.models import BrokerConnection  # noqa: E402
from apps.common import clock  # noqa: E402
from apps.common.db import tenant_scope  # noqa: E402
from apps.engine.execution.keys import entry_key  # noqa: E402
from apps.engine.model.choices import OrderType, Purpose, RunLevel, Side  # noqa: E402
from apps.market.models import Instrument  # noqa: E402
from apps.trading.models import AccountState, Bot, OrderEvent, OrderIntent, Position, StopAcknowledgement  # noqa: E402
from apps.trading.services.intents import IntentTerms, intent_record  # noqa: E402
from tests.kit.factories.trading import make_trading_tenant, set_level  # noqa: E402


def make(count: str) -> object:
    """Make tenants with a started bot whose parameters never ask for an order of their own."""
    symbol = Instrument.objects.filter(is_simulated=True).order_by("tradingsymbol").first().tradingsymbol
    made = [make_trading_tenant(symbols=[symbol], buy_rsi=Decimal(1)) for _ in range(int(count))]
    _wait(lambda: all(_is_read(tenant.tenant_id) for tenant in made), 30)
    return [str(tenant.tenant_id) for tenant in made]


def order(tenant_id: str, delay_seconds: str) -> object:
    """Buy ten shares; the venue accepts at once and answers late."""
    with tenant_scope(UUID(tenant_id)):
        bot = Bot.objects.select_related("connection").get()
        instrument_id = bot.instruments.get().instrument_id
    _spoil(
        bot.connection.account_ref,
        {"kind": "delay_reply", "scope": "write", "next": 1, "seconds": float(delay_seconds)},
    )
    with tenant_scope(UUID(tenant_id)):
        intent = intent_record(
            bot=bot,
            instrument_id=instrument_id,
            terms=IntentTerms(
                key=entry_key(
                    connection_id=str(bot.connection_id), instrument_id=str(instrument_id), candle_opened_at=clock.now()
                ),
                purpose=Purpose.ENTRY,
                side=Side.BUY,
                quantity=10,
                order_type=OrderType.MARKET,
                reserved_cash=Decimal(40_000),
            ),
            expires_at=clock.now() + timedelta(minutes=10),
        )
    return str(intent.pk)


def flatten(tenant_id: str) -> object:
    """Stop and flatten."""
    with tenant_scope(UUID(tenant_id)):
        bot = Bot.objects.get()

    class Facts:
        bot_id, user_id = bot.pk, uuid4()

    Facts.tenant_id = UUID(tenant_id)
    return str(set_level(Facts, RunLevel.FLATTEN).pk)


def report(*tenant_ids: str) -> object:
    """Tell for each tenant what our tables and the venue's own table hold."""
    return [_report(UUID(tenant_id)) for tenant_id in tenant_ids]


def _report(tenant_id: UUID) -> dict[str, object]:
    with tenant_scope(tenant_id):
        account_ref = BrokerConnection.objects.get().account_ref
        orders = [
            {
                "side": intent.side,
                "state": intent.state,
                "filled": intent.filled_quantity,
                "tag": intent.client_order_id,
                "history": [
                    f"{event.cause}>{event.to_state}"
                    for event in OrderEvent.objects.filter(intent=intent).order_by("at")
                ],
            }
            for intent in OrderIntent.objects.order_by("created_at")
        ]
        held = sum(Position.objects.values_list("quantity", flat=True))
        acknowledged = StopAcknowledgement.objects.filter(stop__level=RunLevel.FLATTEN).exists()
    with psycopg.connect(os.environ["SANDBOX_DATABASE_URL"]) as connection:
        rows = connection.execute(
            "SELECT o.tag, o.side, o.filled_quantity FROM sandbox_order o "
            "JOIN sandbox_account a ON a.id = o.account_id WHERE a.ref = %s ORDER BY o.id",
            [account_ref],
        ).fetchall()
    return {"orders": orders, "held": held, "venue": rows, "acknowledged": acknowledged}


def _is_read(tenant_id: UUID) -> bool:
    with tenant_scope(tenant_id):
        return AccountState.objects.filter(is_quarantined=False, cash__isnull=False).exists()


def _wait(condition: object, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("waited in vain")
        time.sleep(0.2)


def _spoil(account_ref: str, fault: dict[str, object]) -> None:
    token = hmac.new(settings.SANDBOX_KEY.encode(), b"admin", hashlib.sha256).hexdigest()
    request = urllib.request.Request(  # noqa: S310
        f"{settings.SANDBOX_URL}/admin/accounts/{account_ref}/faults",
        method="PUT",
        data=json.dumps({"faults": [fault]}).encode(),
        headers={"Authorization": f"Bearer {token}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        answer.read()


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    print(json.dumps({"make": make, "order": order, "flatten": flatten, "report": report}[command](*arguments)))
