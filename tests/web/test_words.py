import re
from pathlib import Path
from string import Formatter

import pytest

from apps.engine.model.choices import Action, OrderState, Purpose, Reason, RunLevel
from apps.engine.model.reasons import REASON_ACTION, REASON_NUMBERS
from apps.web import words

TRADING = Path(__file__).resolve().parent.parent.parent / "apps" / "trading"
SAMPLES = {
    "period": "2026-11",
    "due_on": "2026-11-02",
    "until_on": "2026-11-09",
    "on": "2026-11-02",
    "rule": "STOP_LOSS",
    "scope": "bot",
    "phase": "CLOSED",
    "cause": "UNKNOWN_ORDER",
    "fact": "cash",
    "sector": "banks",
    "broker": "paper",
    "got": "\u22123",
}


def sample_of(name: str) -> object:
    if name in SAMPLES:
        return SAMPLES[name]
    return "2026-11-16T04:45:00+00:00" if name.endswith("_at") or name == "at" else "12.5"


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_sentence_from_numbers_it_always_carries(reason) -> None:
    texts = words.REASON_WORDS[reason]

    assert placeholders(texts.sentence) | placeholders(texts.rule) <= set(REASON_NUMBERS[reason])
    assert texts.sentence.endswith(".")
    assert texts.rule.endswith(".")


@pytest.mark.parametrize("reason", list(Reason))
def test_every_sentence_is_written_out_without_a_gap(reason) -> None:
    numbers = {name: sample_of(name) for name in REASON_NUMBERS[reason]}

    for text in (words.sentence_of(reason, numbers), words.rule_of(reason, numbers)):
        assert text
        assert "{" not in text
        assert "unknown" not in text.replace("is unknown", "").replace("outcome unknown", "")


@pytest.mark.parametrize("reason", list(Reason))
def test_no_sentence_promises_or_blames(reason) -> None:
    text = f"{words.REASON_WORDS[reason].sentence} {words.REASON_WORDS[reason].rule}".lower()

    assert not re.search(r"guarantee|profit of|returns\b|your fault|you failed|\bai\b", text)


def test_sentence_of_a_purchase_names_shares_limit_and_rsi() -> None:
    numbers = {"quantity": 12, "limit_price": "1234.5", "rsi": "31.2034", "buy_rsi": "35"}

    assert (
        words.sentence_of("RSI_BUY", numbers) == "Buying 12 shares at up to ₹1,234.50: the RSI is 31.2, at or under 35."
    )


def test_number_that_an_old_row_lacks_reads_as_unknown() -> None:
    assert words.sentence_of("RSI_ABOVE_BUY", {"rsi": "40"}) == "Waiting: the RSI is 40, above unknown."


def test_reason_of_a_later_version_is_said_as_such() -> None:
    assert "no words for (FROM_THE_FUTURE)" in words.sentence_of("FROM_THE_FUTURE", {})


def test_limits_are_written_in_their_own_unit() -> None:
    assert words.inputs_of("CASH", {"need": "9812"}) == [("Needed", "₹9,812.00")]
    assert words.inputs_of("MAX_POSITIONS", {"limit": 5}) == [("Limit", "5")]


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_look(reason) -> None:
    assert words.kind_of(REASON_ACTION[reason], reason).icon


def test_every_state_action_purpose_and_level_has_words() -> None:
    assert set(words.ORDER_STATE_WORDS) == set(OrderState)
    assert set(words.ACTION_KINDS) == set(Action)
    assert set(words.PURPOSE_WORDS) == set(Purpose)
    assert set(words.LEVEL_WORDS) == set(RunLevel)


def test_unknown_order_is_said_to_be_unknown() -> None:
    assert words.ORDER_STATE_WORDS[OrderState.UNKNOWN].sentence.startswith("Outcome unknown, checking with the broker.")


def test_every_cause_that_trading_writes_into_an_orders_history_has_words() -> None:
    source = "\n".join(path.read_text() for path in TRADING.rglob("*.py"))
    causes = set(re.findall(r'cause="(\w+)"', source)) | set(re.findall(r'PermitDeniedError\(\s*"(\w+)"', source))

    causes |= set(re.findall(r'(?:intent_note|_note_once)\(\s*\w+,\s*"(\w+)"', source))

    assert len(causes) > 20
    assert causes - set(words.EVENT_WORDS) == set()


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("stopped", "the bot was stopped"),
        ("market_closed: holiday", "the market was closed (holiday)"),
        ("books_unread", "books unread"),
        ("", "no reason given"),
        (None, "no reason given"),
    ],
)
def test_skipped_look_has_a_reason_in_words(reason, text) -> None:
    assert words.skip_words(reason) == text
