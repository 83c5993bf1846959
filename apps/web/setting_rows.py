"""The settings pages' fields in groups, each with its unit, help, range, default and what is in force."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django import forms

from apps.engine.model.choices import Sizing
from apps.engine.model.params import StrategyParams
from apps.web.parameter_words import OFF, SIZING_WORDS, range_words, value_words, words_of

GROUPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "buying",
        "When it buys",
        ("mode", "timeframe", "rsi_period", "buy_rsi", "cooldown_candles", "max_entries_per_day"),
    ),
    ("size", "How much it buys", ("sizing", "size")),
    (
        "selling",
        "When it sells",
        (
            "profit_target_percent",
            "sell_rsi",
            "stop_loss_percent",
            "trailing_stop_percent",
            "catastrophic_stop_percent",
            "never_sell_at_loss",
        ),
    ),
    ("sip", "Instalments", ("sip_period", "sip_day", "sip_dip_days")),
    (
        "filters",
        "What holds a purchase back",
        (
            "charge_gate",
            "only_nifty50",
            "index_above_average",
            "inside_band",
            "minimum_turnover",
            "maximum_volume_percent",
        ),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """One field with everything that stands around it."""

    name: str
    field: forms.BoundField
    unit: str
    help: str
    allowed: str
    default: str
    in_force: str
    is_switch: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingGroup:
    """Fields under one heading."""

    key: str
    title: str
    rows: tuple[SettingRow, ...]


def rule_groups(form: forms.Form, params: StrategyParams, in_force: Mapping[str, str]) -> tuple[SettingGroup, ...]:
    """Return the groups of the rule's parameters."""
    defaults = StrategyParams()
    return tuple(
        SettingGroup(
            key=key,
            title=title,
            rows=tuple(
                _row(
                    form,
                    name,
                    in_force,
                    sizing=params.sizing,
                    default=value_words(name, getattr(defaults, name), defaults.sizing),
                )
                for name in names
            ),
        )
        for key, title, names in GROUPS
    )


def limit_rows(form: forms.Form, names: Iterable[str], in_force: Mapping[str, str]) -> tuple[SettingRow, ...]:
    """Return the rows of limits; by default none is set."""
    return tuple(_row(form, name, in_force, default=OFF) for name in names)


def _row(
    form: forms.Form, name: str, in_force: Mapping[str, str], *, default: str, sizing: Sizing = Sizing.PERCENT
) -> SettingRow:
    words = words_of(name)
    return SettingRow(
        name=name,
        field=form[name],
        unit=SIZING_WORDS[sizing][1] if name == "size" else words.unit,
        help=words.help,
        allowed=range_words(name, sizing),
        default=default,
        in_force=in_force.get(name, ""),
        is_switch=isinstance(form.fields[name], forms.BooleanField),
    )
