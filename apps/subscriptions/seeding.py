"""The plans as a fresh installation has them; staff may edit the rows afterwards."""

from decimal import Decimal
from typing import Any

from apps.subscriptions.models import Plan

_BY_CONTRACT = {
    "max_bots",
    "max_instruments",
    "max_live_connections",
    "max_backtests_per_day",
    "max_api_keys",
    "max_seats",
}
PLANS: tuple[dict[str, Any], ...] = (
    {
        "code": "free",
        "name": "Free",
        "rank": 1,
        "price_monthly": Decimal("0.00"),
        "price_yearly": Decimal("0.00"),
        "max_bots": 1,
        "max_instruments": 3,
        "max_live_connections": 0,
        "highest_mode": "paper",
        "max_backtests_per_day": 5,
        "max_api_keys": 0,
        "max_seats": 1,
        "channels": ["email", "in_app"],
        "support_level": "e-mail",
        "is_sold": True,
    },
    {
        "code": "pro",
        "name": "Pro",
        "rank": 2,
        "price_monthly": Decimal("999.00"),
        "price_yearly": Decimal("9999.00"),
        "max_bots": 5,
        "max_instruments": 20,
        "max_live_connections": 1,
        "highest_mode": "auto",
        "max_backtests_per_day": 50,
        "max_api_keys": 1,
        "max_seats": 2,
        "channels": ["email", "in_app", "telegram"],
        "support_level": "e-mail",
    },
    {
        "code": "premium",
        "name": "Premium",
        "rank": 3,
        "price_monthly": Decimal("2499.00"),
        "price_yearly": Decimal("24999.00"),
        "max_bots": 20,
        "max_instruments": 200,
        "max_live_connections": 4,
        "highest_mode": "auto",
        "max_backtests_per_day": 500,
        "max_api_keys": 5,
        "max_seats": 5,
        "channels": ["email", "in_app", "telegram", "webhook"],
        "support_level": "priority",
    },
    {
        "code": "enterprise",
        "name": "Enterprise",
        "rank": 4,
        "price_monthly": Decimal("10000.00"),
        **dict.fromkeys(_BY_CONTRACT),
        "highest_mode": "auto",
        "channels": ["email", "in_app", "telegram", "webhook"],
        "support_level": "dedicated",
    },
)


def seed() -> int:
    """Create the plans that are missing and leave the others as staff set them; return how many were made."""
    made = 0
    for row in PLANS:
        _, created = Plan.objects.get_or_create(code=row["code"], defaults=row)
        made += created
    return made
