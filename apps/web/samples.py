"""Made-up things for the style page: one of everything that an element of the face can show.

Nothing here is read by another page, and nothing of it is a customer's: names, prices and ids are invented.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace as Sample
from uuid import UUID

from apps.engine.model.params import StrategyParams
from apps.trading.models import InstrumentConfig
from apps.web import words
from apps.web.filters import DAYS, ORDER_SORTS, FilterForm
from apps.web.selectors.example_day import ExampleDay
from apps.web.share_forms import ShareForm

NOBODY = UUID(int=0)


def samples(now: datetime, day: ExampleDay) -> dict[str, object]:
    """Return what the style page hands to the elements, by the names that the elements use."""
    form = FilterForm({"day": "7", "q": "lotus"}, bots=[(NOBODY, "Bot")], sorts=ORDER_SORTS)
    share_form = ShareForm(config=InstrumentConfig(pk=NOBODY), params=StrategyParams())
    return {
        "form": form,
        "chosen": form.chosen(),
        "days": DAYS,
        "share_form": share_form,
        "card": _bot_card(now),
        "decision": _decision(day),
        "effects": _effects(),
        "report": _report(),
        "report_view": Sample(lines=_lines(), is_report_used=False),
        "levels": _levels(now),
        "position": Sample(average_price=Decimal("201.00")),
        "unread_notice": _notice(now, "danger", is_unread=True),
        "read_notice": _notice(now, "", is_unread=False),
        "bell": Sample(count=3, has_danger=True),
        "steps": _steps(now),
        "lot": Sample(id=NOBODY, menu_label="What to do with LOTUS"),
        "progress": _progress(),
        "stretches": day.stretches[:3],
        "hours": Sample(lines=["The market is open round the clock, so there is nothing to choose."], can_choose=False),
        "setting": Sample(
            name="stop_loss_percent",
            is_switch=False,
            field=share_form["stop_loss_percent"],
            unit="%",
            help="Sells when the price is this much under the average entry.",
            allowed="0.1 to 90, or off",
            default="5",
            in_force="The account allows at most 8%.",
        ),
        "setting_switch": Sample(
            name="is_enabled",
            is_switch=True,
            field=share_form["is_enabled"],
            help="Switched off, it is not bought.",
            in_force="",
        ),
        "rule_versions": [
            Sample(number=2, id=NOBODY, at=now, by="you", is_in_force=True, changes=["Stop loss from 5% to 3%"]),
            Sample(number=1, id=NOBODY, at=now - timedelta(days=3), by="you", is_in_force=False, changes=[]),
        ],
    }


def _bot_card(now: datetime) -> Sample:
    return Sample(
        id=NOBODY,
        name="Sample bot",
        mode="PAPER",
        state="RUNNING",
        state_kind="good",
        is_draining=False,
        stop_id=None,
        promise="ARUN buys and sells by the rule.",
        held_by="",
        level=0,
        next_cycle_at=now + timedelta(minutes=4),
        last_cycle_at=now - timedelta(seconds=40),
        last_cycle_text="8 shares looked at",
        instruments=8,
        timeframe="15 minutes",
        open_positions=2,
        pnl_today=Decimal("-42.50"),
        capital=Decimal(100_000),
        in_flight=0,
        buttons=[],
    )


def _decision(day: ExampleDay) -> Sample:
    row = day.stretches[0].first
    return Sample(
        id=NOBODY,
        rule=row.rule,
        inputs=words.inputs_of(row.reason, row.numbers),
        is_simulated=True,
        kind=row.kind,
        instrument=day.instrument.tradingsymbol,
        sentence=row.sentence,
    )


def _effects() -> list[Sample]:
    return [
        Sample(kind="sold", icon="down", order_id=None, subject="LOTUS", text="Sells 40 shares at the market."),
        Sample(kind="waiting", icon="hold", order_id=None, subject="NEEM", text="Kept. A stop stands at ₹194.95."),
    ]


def _lines() -> list[Sample]:
    return [
        Sample(number=1, symbol="LOTUS", typed="LOTUS", verdict="accepted", kind="good", notes=[], effect="new"),
        Sample(
            number=2,
            symbol="NEEM",
            typed=" neem.ns ",
            verdict="corrected",
            kind="accent",
            notes=["Read as NEEM."],
            effect="new",
        ),
        Sample(
            number=3,
            symbol="",
            typed="XQZ",
            verdict="refused",
            kind="danger",
            notes=["No share of this market has this symbol."],
            effect="nothing",
        ),
    ]


def _report() -> Sample:
    lines = _lines()
    return Sample(
        file_name="my-shares.csv",
        accepted=lines[:1],
        corrected=lines[1:2],
        refused=lines[2:],
        savable=lines[:2],
        rows=lines,
        ignored=["note"],
    )


def _levels(now: datetime) -> Sample:
    return Sample(
        lines=[
            Sample(name="Stop", note="5% under the entry", before="₹190.95", after="₹192.00", changes=True),
            Sample(name="Target", note="", before="₹221.10", after="₹221.10", changes=False),
        ],
        warnings=["The new stop is 1.2% under the last price."],
        at_broker="The stop order at the broker moves with it.",
        quote=Sample(last_price=Decimal("194.40"), at=now - timedelta(seconds=4)),
    )


def _notice(now: datetime, kind: str, *, is_unread: bool) -> Sample:
    return Sample(
        id=NOBODY,
        look=Sample(kind=kind, icon="alert" if kind else "bell", label="Danger" if kind else ""),
        severity=kind or "info",
        is_unread=is_unread,
        text="The outcome of an order is unknown." if kind else "The bot was started.",
        did="ARUN asks the broker and sends nothing twice." if kind else "",
        can_do="Nothing for now." if kind else "",
        count=3 if kind else 1,
        first_at=now - timedelta(hours=1),
        at=now - timedelta(minutes=2),
        last_at=now - timedelta(minutes=2),
        read_at=None if is_unread else now,
        read_by="" if is_unread else "you",
        target="",
        target_label="",
    )


def _steps(now: datetime) -> list[Sample]:
    return [
        Sample(kind="", title="Written down, with its key", detail="", at=now, url="", url_label="", raw=[]),
        Sample(
            kind="danger",
            title="No answer came",
            detail="It is looked up at the broker and not sent again.",
            at=now,
            url="#",
            url_label="The decision behind it",
            raw=[("outcome", "UNKNOWN")],
        ),
        Sample(kind="good", title="Filled in full", detail="40 shares", at=now, url="", url_label="", raw=[]),
    ]


def _progress() -> Sample:
    return Sample(level=3, left_before=_effects()[:1], cancelled=[], kept=[], selling=_effects()[:1], is_settled=False)
