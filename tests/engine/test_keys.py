"""Keys that a re-run makes again, and tags that a broker takes."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine.execution.keys import (
    client_order_id,
    entry_key,
    exit_key,
    flatten_key,
    manual_key,
    sip_key,
)

CANDLE = datetime(2026, 11, 16, 4, 45, tzinfo=UTC)
KEY = b"0123456789abcdef"


def test_each_purpose_has_its_own_form() -> None:
    assert entry_key(connection_id="c", instrument_id="i", candle_opened_at=CANDLE) == "ENTRY:c:i:20261116T044500Z:1"
    assert sip_key(connection_id="c", instrument_id="i", period="2026-11") == "SIP:c:i:2026-11"
    assert exit_key(position_id="p", exit_no=2) == "EXIT:p:2"
    assert manual_key(request_id="r", position_id="p") == "MANUAL:r:p"
    assert flatten_key(stop_id="s", position_id="p") == "FLATTEN:s:p"


def test_the_same_moment_in_another_zone_is_the_same_key() -> None:
    india = CANDLE.astimezone(timezone(timedelta(hours=5, minutes=30)))

    assert entry_key(connection_id="c", instrument_id="i", candle_opened_at=india) == entry_key(
        connection_id="c", instrument_id="i", candle_opened_at=CANDLE
    )


@pytest.mark.parametrize("part", ["", "a:b"])
def test_a_part_that_could_make_two_keys_alike_is_refused(part: str) -> None:
    with pytest.raises(ValueError, match="without a colon"):
        manual_key(request_id=part, position_id="p")


def test_a_tag_is_the_start_of_the_ids_hmac_in_base_32() -> None:
    intent = UUID("0190f5a4-7b7e-7c3a-9d2b-2f3c4d5e6f70")
    digest = hmac.digest(KEY, intent.bytes, hashlib.sha256)

    assert client_order_id(intent, KEY) == base64.b32encode(digest)[:19].decode()


@given(number=st.integers(0, 2**128 - 1))
def test_every_tag_is_nineteen_letters_and_digits(number: int) -> None:
    tag = client_order_id(UUID(int=number), KEY)

    assert len(tag) == 19
    assert set(tag) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")


def test_ten_thousand_neighbors_have_ten_thousand_tags() -> None:
    assert len({client_order_id(UUID(int=number), KEY) for number in range(10_000)}) == 10_000


def test_another_key_gives_another_tag() -> None:
    assert client_order_id(UUID(int=1), KEY) != client_order_id(UUID(int=1), KEY[::-1])


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 bytes, got 15"):
        client_order_id(UUID(int=1), KEY[:15])
