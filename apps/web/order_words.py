"""Words of an order's page: its terms, the lines of its charges, and the numbers behind a step of its history."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from apps.engine.model.choices import Product, RunLevel, Validity
from apps.web import formats, words

PRODUCT_WORDS: Mapping[str, str] = {
    Product.CNC: "Delivery",
    Product.MIS: "Intraday",
    Product.NRML: "Carried forward",
}
VALIDITY_WORDS: Mapping[str, str] = {
    Validity.DAY: "good for the day",
    Validity.IOC: "at once or not at all",
}
CHARGE_WORDS: Mapping[str, str] = {
    "brokerage": "Brokerage",
    "stt": "Securities transaction tax",
    "exchange": "Exchange",
    "sebi": "SEBI fee",
    "stamp": "Stamp duty",
    "gst": "GST",
    "depository": "Depository",
}
_SCOPES = {
    "bot": "the bot's own button",
    "tenant": "a stop of your account",
    "strategy": "a stop of this strategy version",
    "broker": "a stop of this broker",
    "platform": "a stop of the whole platform",
}
Data = Mapping[str, Any]
Names = Mapping[str, str]


def _asked(data: Data, names: Names) -> str:
    return f"asked for by {names.get(str(data['by']), 'ARUN')}" if "by" in data else ""


def _stopped(data: Data, _names: Names) -> str:
    if "scope" not in data:
        return ""
    level = words.LEVEL_WORDS[RunLevel[data["level"]]].verb
    return f"{level}, by {_SCOPES.get(str(data['scope']), str(data['scope']))}"


def _cash(data: Data, _names: Names) -> str:
    if not {"needed", "free"} <= data.keys():
        return ""
    return f"{formats.inr(Decimal(data['needed']))} needed, {formats.inr(Decimal(data['free']))} free"


def _nothing(data: Data, _names: Names) -> str:
    if not {"lot", "sellable", "baseline", "exits"} <= data.keys():
        return ""
    return (
        f"the lot has {data['lot']}, the broker would sell {data['sellable']}, {data['baseline']} are your own, "
        f"{data['exits']} are being sold already"
    )


def _permitted(data: Data, _names: Names) -> str:
    return f"for {formats.shares(int(data['quantity']))}" if "quantity" in data else ""


def _why(data: Data, _names: Names) -> str:
    return words.event_words(str(data["why"])) if "why" in data else ""


def _status(data: Data, _names: Names) -> str:
    return f"the word is “{data['status']}”" if "status" in data else ""


def _text(data: Data, _names: Names) -> str:
    return str(data.get("text", ""))


_DETAILS: Mapping[str, Callable[[Data, Names], str]] = {
    "permitted": _permitted,
    "stopped": _stopped,
    "cash": _cash,
    "nothing_to_sell": _nothing,
    "stuck": _why,
    "unknown_word": _status,
    **{
        f"{kind}_{state}": _text
        for kind in ("cancel", "modify")
        for state in ("new", "sending", "done", "refused", "unknown", "dead")
    },
    "cancel_asked": _asked,
    "modify_asked": _asked,
}


def event_detail(cause: str, data: Data, names: Names) -> str:
    """Return the numbers of a step of an order's history in words; empty where it has none worth a sentence."""
    write = _DETAILS.get(cause)
    return "" if write is None else write(data, names)
