from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from apps.web import formats

AT = datetime(2026, 11, 23, 3, 45, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1234567"), "₹12,34,567.00"),
        (Decimal("123456789.5"), "₹12,34,56,789.50"),
        (Decimal("999"), "₹999.00"),
        (Decimal("1000"), "₹1,000.00"),
        (Decimal("-42.5"), "\u2212₹42.50"),
        (Decimal("-0.004"), "₹0.00"),
        (0, "₹0.00"),
        (None, "unknown"),
    ],
)
def test_rupees_are_grouped_the_indian_way(value, text) -> None:
    assert formats.inr(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(Decimal(5), "+₹5.00"), (Decimal(-5), "\u2212₹5.00"), (Decimal(0), "₹0.00"), (Decimal("0.001"), "₹0.00")],
)
def test_signed_rupees_carry_a_sign_unless_zero(value, text) -> None:
    assert formats.inr(value, signed=True) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1234567"), "₹12.35 L"),
        (Decimal("99999.99"), "₹99,999.99"),
        (Decimal("12000000"), "₹1.20 Cr"),
        (Decimal("-250000"), "\u2212₹2.50 L"),
    ],
)
def test_short_rupees_use_lakh_and_crore(value, text) -> None:
    assert formats.inr_short(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("4.254"), "+4.25%"),
        (Decimal("-3.08"), "\u22123.08%"),
        (Decimal(0), "0.00%"),
        (Decimal("0.001"), "0.00%"),
    ],
)
def test_signed_percent(value, text) -> None:
    assert formats.percent(value, signed=True) == text


def test_moment_is_written_in_indian_time() -> None:
    assert formats.ist(AT) == "Mon 23 Nov, 09:15 IST"
    assert formats.ist(AT, seconds=True) == "Mon 23 Nov, 09:15:09 IST"


def test_moment_after_half_past_six_in_the_evening_utc_is_the_next_day() -> None:
    assert formats.ist(datetime(2026, 12, 31, 18, 30, tzinfo=UTC)) == "Fri 1 Jan, 00:00 IST"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "now"),
        (1, "now"),
        (2, "2 s ago"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (7300, "2 h ago"),
        (90_000, "1 d ago"),
    ],
)
def test_age_in_its_largest_unit(seconds, text) -> None:
    assert formats.ago(AT - timedelta(seconds=seconds), AT) == text


def test_one_share_is_not_plural() -> None:
    assert (formats.shares(1), formats.shares(1250)) == ("1 share", "1,250 shares")


@pytest.mark.parametrize(("value", "text"), [(Decimal("35"), "35"), (Decimal("2.50"), "2.5"), (Decimal("100"), "100")])
def test_a_rules_number_has_no_idle_zeros(value, text) -> None:
    assert formats.trimmed(value) == text
