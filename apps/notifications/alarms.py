"""Which events a person must hear of, and in which words. An event that comes twice is told once."""

from collections.abc import Callable, Mapping

from apps.brokers.choices import SessionState
from apps.brokers.services import SESSION_CHANGED
from apps.common.db import tenant_scope
from apps.common.events import Event, subscribe
from apps.market.models import Instrument
from apps.notifications.models import Notification
from apps.notifications.services import notification_add
from apps.trading.models import EntryFreeze

Telling = tuple[str, str]
"""Severity and sentence."""

_FREEZES: Mapping[str, str] = {
    EntryFreeze.Reason.UNKNOWN_ORDER: (
        "The outcome of an order for {name} is unknown and the broker's books do not settle it. "
        "ARUN buys no {name} until it is settled. Look at the order book at your broker."
    ),
    EntryFreeze.Reason.DEAD_ORDER_SEEN: (
        "An order for {name} that ARUN had given up turned up at the broker. It is booked now, "
        "and ARUN buys no {name} until you have looked at it."
    ),
    EntryFreeze.Reason.REFUSED_ORDER_SEEN: (
        "Your broker refused an order for {name}, and its order book shows that order at work. What it trades is "
        "booked. ARUN cannot cancel it: do that at your broker. ARUN buys no {name} until you have looked at it."
    ),
    EntryFreeze.Reason.POSITION_DIFFERS: (
        "Your broker holds another number of {name} than ARUN's records say. ARUN buys no {name} until they agree. "
        "If you bought or sold some yourself, say so under Positions."
    ),
    EntryFreeze.Reason.OUTSIDE_ORDER: (
        "An order for {name} at your broker carries ARUN's mark, and ARUN has no record of it. "
        "ARUN buys no {name} until support has looked at it."
    ),
    EntryFreeze.Reason.CORPORATE_ACTION: (
        "{name} may have had a split or a bonus. Its price exits wait until you confirm what happened."
    ),
}
_DANGERS = frozenset(
    {
        EntryFreeze.Reason.UNKNOWN_ORDER,
        EntryFreeze.Reason.DEAD_ORDER_SEEN,
        EntryFreeze.Reason.REFUSED_ORDER_SEEN,
        EntryFreeze.Reason.OUTSIDE_ORDER,
    }
)


def connect() -> None:
    """Subscribe to the events of the apps below."""
    for kind, telling in _TELLINGS.items():
        subscribe(kind, _handler(telling))


def _handler(telling: Callable[[Event], Telling | None]) -> Callable[[Event], None]:
    def handle(event: Event) -> None:
        told = telling(event)
        if told is None:
            return
        severity, text = told
        with tenant_scope(event.tenant_id):
            notification_add(event.kind, text=text, severity=severity, data=event.data, once_key=f"event:{event.id}")

    return handle


def _frozen(event: Event) -> Telling | None:
    sentence = _FREEZES.get(event.data["reason"])
    if sentence is None:
        return None
    is_danger = event.data["reason"] in _DANGERS
    severity = Notification.Severity.DANGER if is_danger else Notification.Severity.WARNING
    return severity, sentence.format(name=_name(event))


def _lot_unsold(event: Event) -> Telling | None:
    if event.data["kind"] == "EXIT_STUCK":
        return Notification.Severity.DANGER, (
            f"ARUN wants to sell your {_name(event)} and the order cannot leave. It keeps trying while the rule "
            "says so. Look at your broker: you can sell there yourself."
        )
    if event.data["kind"] != "UNSOLD":
        return None  # every other alarm comes with a freeze, which is told above
    return Notification.Severity.DANGER, (
        f"ARUN could not sell your {_name(event)} after several tries. Sell it at your broker, or ask support."
    )


def _session(event: Event) -> Telling | None:
    if event.data["state"] == SessionState.ALIVE:
        return Notification.Severity.INFO, "Your broker session is open."
    if event.data["state"] == SessionState.EXPIRED:
        return Notification.Severity.DANGER, (
            "Your broker session has ended. ARUN is not buying, and it cannot sell either until you log in again."
        )
    return Notification.Severity.WARNING, "Your broker session does not answer as it should. ARUN is not buying."


def _stop_late(event: Event) -> Telling | None:
    if event.data["step"] != "late":
        return None
    return Notification.Severity.DANGER, (
        "Your Stop takes longer than it should: one part of ARUN does not answer, and support is called. "
        "Nothing new is sent; an order that had left before may still fill."
    )


def _unprotected(event: Event) -> Telling:
    return Notification.Severity.WARNING, (
        f"No stop order for your {_name(event)} stands at the broker: it was refused or dropped several times. "
        "ARUN watches the price and sells by the rule while it runs, and goes on trying."
    )


def _recovered(event: Event) -> Telling:
    count = event.data["orders"]
    what = "1 order" if count == 1 else f"{count} orders"
    return Notification.Severity.WARNING, (
        f"ARUN's records were restored from a copy, and {what} of yours that they had forgotten came back from your "
        "broker's book. They stand in your list of orders, marked as recovered. Compare it with your broker's."
    )


def _cycle_parked(event: Event) -> Telling | None:
    return Notification.Severity.WARNING, (
        "Your bot could not finish one of its looks at the market after three tries and skipped it. "
        "It goes on with the next one."
    )


def _name(event: Event) -> str:
    instrument = Instrument.objects.filter(pk=event.data["instrument"]).first()
    return instrument.tradingsymbol if instrument else "a share"


_TELLINGS: Mapping[str, Callable[[Event], Telling | None]] = {
    "EntriesFrozen": _frozen,
    "Alarm": _lot_unsold,
    SESSION_CHANGED: _session,
    "StopEscalated": _stop_late,
    "ProtectionMissing": _unprotected,
    "OrdersRecovered": _recovered,
    "CycleParked": _cycle_parked,
}
