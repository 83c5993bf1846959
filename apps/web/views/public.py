"""Pages that anybody may read: what ARUN is, and the rule it follows."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apps.engine.model.choices import Reason
from apps.engine.model.params import PRESETS, RANGES, StrategyParams
from apps.engine.model.reasons import REASON_ACTION
from apps.engine.strategies import rsi_reversion
from apps.web import formats, words


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleRow:
    """One sentence of the landing page's example."""

    instrument: str
    sentence: str
    rule: str
    kind: str
    icon: str
    label: str
    at: str


_EXAMPLES = (
    ("LOTUS", "10:45", Reason.RSI_ABOVE_BUY, {"rsi": "48.3", "buy_rsi": "35", "close": "412.60"}),
    (
        "BANYAN",
        "10:30",
        Reason.RSI_BUY,
        {
            "rsi": "31.9",
            "buy_rsi": "35",
            "close": "88.15",
            "last_price": "88.20",
            "quantity": 110,
            "limit_price": "88.60",
            "reserved_amount": "9760.40",
        },
    ),
    ("NEEM", "10:30", Reason.CASH, {"need": "9812", "have": "240"}),
    (
        "TEAK",
        "10:15",
        Reason.STOP_LOSS,
        {
            "quantity": 40,
            "average_price": "201.00",
            "last_price": "194.80",
            "level": "194.97",
            "change_percent": "-3.08",
        },
    ),
)


def _example(instrument: str, at: str, reason: Reason, numbers: dict[str, object]) -> ExampleRow:
    kind = words.kind_of(REASON_ACTION[reason], reason)
    return ExampleRow(
        instrument=instrument,
        sentence=words.sentence_of(reason, numbers),
        rule=words.rule_of(reason, numbers),
        kind=kind.name,
        icon=kind.icon,
        label=kind.label,
        at=at,
    )


def landing(request: HttpRequest) -> HttpResponse:
    """What ARUN is, said honestly."""
    return render(request, "pages/landing.html", {"examples": [_example(*row) for row in _EXAMPLES]})


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterRow:
    """One parameter of the published rule, with its default and its range."""

    name: str
    default: str
    allowed: str
    unit: str


_PARAMETER_NAMES = {
    "rsi_period": "Length of the RSI",
    "buy_rsi": "Buy at or under RSI",
    "sell_rsi": "Sell at or over RSI",
    "profit_target_percent": "Profit target",
    "stop_loss_percent": "Stop loss",
    "trailing_stop_percent": "Trailing stop",
    "catastrophic_stop_percent": "Catastrophic stop",
    "cooldown_candles": "Wait after a sale",
    "max_entries_per_day": "Purchases a day at most",
}


def _parameter_rows() -> list[ParameterRow]:
    defaults = StrategyParams()
    rows = []
    for name, label in _PARAMETER_NAMES.items():
        allowed, value = RANGES[name], getattr(defaults, name)
        rows.append(
            ParameterRow(
                name=label,
                default="off" if value is None else formats.trimmed(value),
                allowed=f"{formats.trimmed(allowed.minimum)} to {formats.trimmed(allowed.maximum)}"
                + (" or off" if allowed.can_be_off else ""),
                unit=allowed.unit,
            )
        )
    return rows


def strategy(request: HttpRequest) -> HttpResponse:
    """The rule as it is disclosed to customers, from the engine's own text."""
    presets = [
        (
            name.value.capitalize(),
            params.buy_rsi,
            params.sell_rsi,
            params.stop_loss_percent,
            params.profit_target_percent,
            rsi_reversion.PRESET_TEXT[name],
        )
        for name, params in PRESETS.items()
    ]
    context = {
        "section": "strategy",
        "version": rsi_reversion.STRATEGY_VERSION,
        "logic_hash": rsi_reversion.STRATEGY_HASH,
        "paragraphs": rsi_reversion.DESCRIPTION.strip().split("\n\n"),
        "parameters": _parameter_rows(),
        "presets": presets,
    }
    return render(request, "pages/strategy.html", context)
