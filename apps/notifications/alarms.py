"""Which events a person must hear of, and in which words. An event that comes twice is told once."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from apps.brokers.choices import SessionState
from apps.brokers.services import SESSION_CHANGED
from apps.common.db import tenant_scope
from apps.common.events import Event, subscribe
from apps.engine.model.choices import OrderState, Purpose, RunLevel, Side
from apps.market.models import Instrument
from apps.notifications.models import Notification
from apps.notifications.services import notification_add
from apps.trading.models import Bot, EntryFreeze, InstrumentConfig, OrderIntent, Position
from apps.trading.platform_selectors import scope_where

Severity = Notification.Severity
ORDER_MOVED = "OrderMoved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What is told: what happened, what ARUN did, what the reader can do. `title` is the subject of a mail.

    `about` names what it is about, and with it the rows that a second one of its kind is folded into.
    """

    severity: Severity
    title: str
    text: str
    did: str = ""
    can_do: str = ""
    about: str = ""
    bots: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class _FreezeWords:
    severity: Severity
    title: str
    text: str
    did: str
    can_do: str


_FREEZES: Mapping[str, _FreezeWords] = {
    EntryFreeze.Reason.UNKNOWN_ORDER: _FreezeWords(
        Severity.DANGER,
        "the outcome of an order for {name} is unknown",
        "The outcome of an order for {name} is unknown, and your broker's books do not settle it.",
        "The order is not sent again, and ARUN buys no {name} until it is settled. It goes on looking.",
        "Look at the order book at your broker. If it shows the order, nothing else is needed from you.",
    ),
    EntryFreeze.Reason.DEAD_ORDER_SEEN: _FreezeWords(
        Severity.DANGER,
        "an order for {name} turned up late at your broker",
        "An order for {name} that ARUN had given up turned up at the broker.",
        "It is booked now like any other. ARUN buys no {name} until somebody has looked at it.",
        "Compare the order here with the one at your broker, then ask support to let purchases go on.",
    ),
    EntryFreeze.Reason.REFUSED_ORDER_SEEN: _FreezeWords(
        Severity.DANGER,
        "an order for {name} that your broker refused is at work there",
        "Your broker refused an order for {name}, and its order book shows that order at work.",
        "What it trades is booked. ARUN cannot cancel it, and buys no {name} until somebody has looked at it.",
        "Cancel the order at your broker if you do not want it. Then ask support to let purchases go on.",
    ),
    EntryFreeze.Reason.POSITION_DIFFERS: _FreezeWords(
        Severity.WARNING,
        "your broker holds another number of {name}",
        "Your broker holds another number of {name} than ARUN's records say.",
        "ARUN buys no {name} until the two agree. It sells none of the shares that are not its own.",
        "Say what happened to the shares under Positions: bought or sold by you elsewhere, or given to the bot.",
    ),
    EntryFreeze.Reason.OUTSIDE_ORDER: _FreezeWords(
        Severity.DANGER,
        "an order for {name} that ARUN does not know",
        "An order for {name} at your broker carries ARUN's mark, and ARUN has no record of it.",
        "ARUN buys no {name} until support has looked at it.",
        "Look at the order book at your broker and cancel there what you do not want. Then write to support.",
    ),
    EntryFreeze.Reason.CORPORATE_ACTION: _FreezeWords(
        Severity.WARNING,
        "{name} may have had a split or a bonus",
        "{name} may have had a split or a bonus, because its price or your number of shares jumped overnight.",
        "Its price exits wait, so that nothing is sold at a price that means something else.",
        "Confirm what happened to the share.",
    ),
}


def connect() -> None:
    """Subscribe to the events of the apps below."""
    for kind, telling in _TELLINGS.items():
        subscribe(kind, _handler(telling))


def _handler(telling: Callable[[Event], Telling | None]) -> Callable[[Event], None]:
    def handle(event: Event) -> None:
        if _is_quiet(event):
            return
        with tenant_scope(event.tenant_id):
            told = telling(event)
            if told is None:
                return
            data = {**event.data, "bots": list(told.bots)} if told.bots else event.data
            notification_add(
                event.kind,
                severity=told.severity,
                title=told.title,
                text=told.text,
                did=told.did,
                can_do=told.can_do,
                data=data,
                once_key=f"event:{event.id}",
                fold_key=f"{told.title}/{told.about}" if told.about else "",
            )

    return handle


def _is_quiet(event: Event) -> bool:
    """Return whether the event says nothing to a person: most of those that orders make, told without a query."""
    return event.kind == ORDER_MOVED and event.data["state"] != OrderState.REJECTED


def _frozen(event: Event) -> Telling | None:
    words = _FREEZES.get(event.data["reason"])
    if words is None:
        return None
    name = _name(event)
    return Telling(
        severity=words.severity,
        title=words.title.format(name=name),
        text=words.text.format(name=name),
        did=words.did.format(name=name),
        can_do=words.can_do.format(name=name),
        about=event.data["instrument"],
        bots=_bots_of_share(event),
    )


def _unfrozen(event: Event) -> Telling | None:
    if event.data["reason"] not in _FREEZES:
        return None
    name = _name(event)
    return Telling(
        severity=Severity.INFO,
        title=f"purchases of {name} are free again",
        text=f"What held purchases of {name} back is settled.",
        did=f"ARUN may buy {name} again when the rule says so.",
        about=event.data["instrument"],
    )


def _lot_unsold(event: Event) -> Telling | None:
    name = _name(event)
    if event.data["kind"] == "EXIT_STUCK":
        return Telling(
            severity=Severity.DANGER,
            title=f"a sale of {name} cannot leave",
            text=f"ARUN wants to sell your {name} and the order cannot leave.",
            did="It keeps trying while the rule says so.",
            can_do="Look at your broker: you can sell there yourself, and ARUN will notice.",
            about=event.data["instrument"],
            bots=_bots_of_share(event),
        )
    if event.data["kind"] != "UNSOLD":
        return None  # every other alarm comes with a freeze, which is told above
    return Telling(
        severity=Severity.DANGER,
        title=f"{name} could not be sold",
        text=f"ARUN could not sell your {name} after several tries.",
        did="It has stopped trying by itself. What is left of the lot is still yours.",
        can_do="Sell it at your broker, or ask support.",
        about=event.data["instrument"],
        bots=_bots_of_share(event),
    )


def _session(event: Event) -> Telling | None:
    about, bots = str(event.data["connection_id"]), _bots_of_connection(event)
    if event.data["state"] == SessionState.ALIVE:
        title = "your broker session is open"
        return Telling(severity=Severity.INFO, title=title, text="Your broker session is open.", about=about)
    if event.data["state"] == SessionState.EXPIRED:
        return Telling(
            severity=Severity.DANGER,
            title="your broker session has ended",
            text="Your broker session has ended.",
            did="ARUN is not buying, and it cannot sell or cancel either. Stop orders at your broker still stand.",
            can_do="Log in to your broker again.",
            about=about,
            bots=bots,
        )
    return Telling(
        severity=Severity.WARNING,
        title="your broker session is in trouble",
        text="Your broker session does not answer as it should.",
        did="ARUN is not buying, and goes on asking.",
        can_do="If it lasts, log in to your broker again.",
        about=about,
    )


def _stop_late(event: Event) -> Telling | None:
    if event.data["step"] != "late":
        return None
    return Telling(
        severity=Severity.DANGER,
        title="your Stop takes longer than it should",
        text="Your Stop takes longer than it should: one part of ARUN does not answer.",
        did="Nothing new is sent, and support is called. An order that had left before may still fill.",
        can_do="Look at the order book at your broker for orders that you do not want.",
    )


def _hours(event: Event) -> Telling | None:
    bot = Bot.objects.filter(pk=event.data["bot"]).first()
    if bot is None:
        return None
    if event.data["did"] == "start":
        return Telling(
            severity=Severity.INFO,
            title=f"{bot.name} started by the calendar",
            text=f"{bot.name} started by itself: the trading hours of its market have begun.",
            did="It buys and sells by its rule until the hours end.",
            can_do="Stop it at any time. It then stays stopped until somebody starts it.",
            about=f"{bot.pk}",
        )
    return Telling(
        severity=Severity.INFO,
        title=f"{bot.name} paused by the calendar",
        text=f"{bot.name} paused its purchases by itself: its market is closed.",
        did="What it holds stays, its exits go on, and stop orders at your broker stand.",
        about=f"{bot.pk}",
    )


def _unprotected(event: Event) -> Telling:
    name = _name(event)
    return Telling(
        severity=Severity.WARNING,
        title=f"no stop order for {name} at your broker",
        text=f"Your broker does not keep the stop order for your {name}: it refused or dropped it several times.",
        did="Your stop holds as long as ARUN watches the price, and no longer.",
        can_do="Look at your broker: you can place one there yourself.",
        about=event.data["instrument"],
        bots=_bots_of_share(event),
    )


def _recovered(event: Event) -> Telling:
    count = event.data["orders"]
    what = "1 order" if count == 1 else f"{count} orders"
    came = "came" if count != 1 else "has come"
    return Telling(
        severity=Severity.WARNING,
        title="ARUN's records were restored from a copy",
        text=(
            f"ARUN's records were restored from a copy, and {what} of yours that they had forgotten {came} back from "
            "your broker's book."
        ),
        did="They stand in your list of orders, marked as recovered, and are followed like any other.",
        can_do="Compare the list with your broker's.",
    )


def _refused(event: Event) -> Telling | None:
    """A stop order that is refused is placed anew, and told of when that fails too."""
    if event.data["purpose"] == Purpose.PROTECT:
        return None
    intent = OrderIntent.objects.filter(pk=event.data["intent"]).select_related("instrument").first()
    if intent is None:
        return None
    name = intent.instrument.tradingsymbol
    verb = "buy" if intent.side == Side.BUY else "sell"
    said = f" It said: {intent.state_text.rstrip('.')}." if intent.state_text else ""
    is_sale = intent.side == Side.SELL
    return Telling(
        severity=Severity.WARNING if is_sale else Severity.INFO,
        title=f"your broker refused to {verb} {name}",
        text=f"Your broker refused to {verb} {intent.quantity} {name}.{said}",
        did="Nothing was sold. ARUN asks again if the rule still says so." if is_sale else "Nothing was bought.",
        can_do="If this goes on, look at what your broker says and sell there yourself." if is_sale else "",
        about=str(intent.instrument_id),
        bots=(intent.bot_id,),
    )


@dataclass(frozen=True, slots=True)
class _OperatorWords:
    title: str
    text: str
    did: str
    can_do: str = ""


_SELL_THERE = "You can sell at your broker yourself; ARUN will notice."
_OPERATOR: Mapping[int, _OperatorWords] = {
    RunLevel.PAUSE_ENTRIES: _OperatorWords(
        "purchases{where} are paused",
        "ARUN's operator paused purchases{where}.",
        "What your bots hold is watched and still sold by the rule.",
    ),
    RunLevel.STOP: _OperatorWords(
        "trading{where} is stopped",
        "ARUN's operator stopped trading{where}.",
        "Your positions stay as they are, and so do stop orders that stand at your broker. ARUN does not watch prices "
        "meanwhile.",
        _SELL_THERE,
    ),
    RunLevel.FLATTEN: _OperatorWords(
        "trading{where} is stopped, and everything is sold",
        "ARUN's operator stopped trading{where} and sells what your bots hold.",
        "Each lot is sold at the market price of the moment.",
    ),
    RunLevel.REVOKE: _OperatorWords(
        "the broker sessions{where} were ended",
        "ARUN's operator ended the broker sessions{where}.",
        "Nothing leaves ARUN: no purchase, no sale, no cancellation. Orders that stand at your broker stay there.",
        _SELL_THERE,
    ),
}


def _operator_stop(event: Event) -> Telling | None:
    """Say what the operator did and what it did here; where there was nothing to lift, a lifting is no news."""
    level, where = event.data["level"], scope_where(event.data["scope"], event.data["key"])
    if level == RunLevel.RUNNING:
        if event.data["was"] == RunLevel.RUNNING:
            return None
        return Telling(
            severity=Severity.INFO,
            title=f"trading{where} goes on",
            text=f"ARUN's operator lifted the stop of trading{where}.",
            did="Your bots follow the rule again, as far as nothing else stops them.",
        )
    words = _OPERATOR[level]
    return Telling(
        severity=Severity.WARNING if level == RunLevel.PAUSE_ENTRIES else Severity.DANGER,
        title=words.title.format(where=where),
        text=words.text.format(where=where),
        did=" ".join([words.did, *_done_here(event)]),
        can_do=words.can_do,
    )


def _done_here(event: Event) -> Iterator[str]:
    done = (
        ("in_flight", "{} had left before and may still fill.", "order"),
        ("cancelled", "{} being cancelled.", "purchase"),
        ("selling", "{} being sold.", "position"),
    )
    for name, sentence, noun in done:
        count = event.data[name]
        if count:
            verb = "" if name == "in_flight" else (" is" if count == 1 else " are")
            yield sentence.format(f"{count} {noun}{'' if count == 1 else 's'}{verb}")


def _operator_stop_late(event: Event) -> Telling:
    where = scope_where(event.data["scope"], event.data["key"])
    return Telling(
        severity=Severity.WARNING,
        title="the operator's stop takes longer than it should",
        text=f"ARUN's operator stopped trading{where}, and one part of ARUN does not answer.",
        did="Nothing new is sent from your account. An order that had left before may still fill.",
        can_do="Look at the order book at your broker for orders that you do not want.",
    )


def _cycle_parked(event: Event) -> Telling | None:
    return Telling(
        severity=Severity.WARNING,
        title="your bot skipped a look at the market",
        text="Your bot could not finish one of its looks at the market after three tries.",
        did="It skipped that one and goes on with the next. Support sees it too.",
        about=str(event.data["bot"]),
    )


def _name(event: Event) -> str:
    instrument = Instrument.objects.filter(pk=event.data["instrument"]).first()
    return instrument.tradingsymbol if instrument else "a share"


def _bots_of_share(event: Event) -> tuple[UUID, ...]:
    """Return the bots that trade the share of the event, which may name its connection, its lot, or neither."""
    if "position" in event.data:
        lot = Position.objects.filter(pk=event.data["position"]).first()
        return () if lot is None else (lot.bot_id,)
    configs = InstrumentConfig.objects.filter(instrument_id=event.data["instrument"], bot__archived_at=None)
    if "connection" in event.data:
        configs = configs.filter(connection_id=event.data["connection"])
    return tuple(configs.order_by("bot_id").values_list("bot_id", flat=True))


def _bots_of_connection(event: Event) -> tuple[UUID, ...]:
    bots = Bot.objects.filter(connection_id=event.data["connection_id"], archived_at=None)
    return tuple(bots.order_by("created_at").values_list("pk", flat=True))


_TELLINGS: Mapping[str, Callable[[Event], Telling | None]] = {
    "EntriesFrozen": _frozen,
    "EntriesUnfrozen": _unfrozen,
    "Alarm": _lot_unsold,
    ORDER_MOVED: _refused,
    SESSION_CHANGED: _session,
    "StopEscalated": _stop_late,
    "ProtectionMissing": _unprotected,
    "OrdersRecovered": _recovered,
    "PlatformStopSettled": _operator_stop,
    "PlatformStopLate": _operator_stop_late,
    "CycleParked": _cycle_parked,
    "HoursFollowed": _hours,
}
