"""The life of an order: one table of arrows, and the step that a broker's report causes.

The table is the platform's order protocol: nothing is ever resent, a fill always wins, a
final state is never left, and only the broker's own book ends UNKNOWN.
"""

from collections.abc import Mapping
from types import MappingProxyType

from apps.engine.errors import InvalidTransitionError
from apps.engine.model.choices import Observation, OrderState

_S = OrderState

FINAL: frozenset[OrderState] = frozenset({_S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED})

_SETTLED = frozenset({_S.ACCEPTED, _S.PARTIAL, _S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED})

TRANSITIONS: Mapping[OrderState, frozenset[OrderState]] = MappingProxyType(
    {
        _S.NEW: frozenset({_S.SENDING, _S.DEAD}),
        _S.SENDING: frozenset({_S.NEW, _S.ACCEPTED, _S.REJECTED, _S.UNKNOWN}),
        _S.ACCEPTED: frozenset({_S.PARTIAL, _S.FILLED, _S.CANCELLED, _S.EXPIRED, _S.REJECTED}),
        _S.PARTIAL: frozenset({_S.PARTIAL, _S.FILLED, _S.CANCELLED, _S.EXPIRED}),
        _S.UNKNOWN: _SETTLED | {_S.DEAD, _S.PARKED},
        _S.PARKED: _SETTLED | {_S.DEAD},
        _S.DEAD: frozenset({_S.ACCEPTED}),
        _S.FILLED: frozenset(),
        _S.CANCELLED: frozenset(),
        _S.REJECTED: frozenset(),
        _S.EXPIRED: frozenset(),
    }
)

# What a report means for an order of which nothing has filled; a report in neither table says nothing.
_MEANING: Mapping[Observation, OrderState] = MappingProxyType(
    {
        Observation.SUBMITTED: _S.ACCEPTED,
        Observation.OPEN: _S.ACCEPTED,
        Observation.TRIGGER_PENDING: _S.ACCEPTED,
        Observation.PARTIALLY_FILLED: _S.ACCEPTED,
        Observation.CANCEL_PENDING: _S.ACCEPTED,
        Observation.MODIFY_PENDING: _S.ACCEPTED,
        Observation.FILLED: _S.ACCEPTED,
        Observation.CANCELLED: _S.CANCELLED,
        Observation.REJECTED: _S.REJECTED,
        Observation.EXPIRED: _S.EXPIRED,
    }
)


def check_transition(from_: OrderState, to: OrderState) -> None:
    """Pass where the table has the arrow; raise InvalidTransitionError where it has not."""
    if to not in TRANSITIONS[from_]:
        allowed = ", ".join(sorted(TRANSITIONS[from_])) or "nothing (final)"
        raise InvalidTransitionError(
            f"an order in {from_} may become {allowed}, not {to}", data={"from": from_.value, "to": to.value}
        )


def state_after(
    current: OrderState, observation: Observation, filled_quantity: int, quantity: int
) -> OrderState | None:
    """Return the state that one broker report moves an order to, or None where it changes nothing.

    Parameters
    ----------
    current : the state the row is in.
    observation : the report, in the port's words.
    filled_quantity, quantity : shares, cumulative and ordered, as reported; quantity at least 1.

    Returns
    -------
    One legal arrow of `TRANSITIONS`, or None. PARTIAL stays PARTIAL as a *returned* state, because
    the filled quantity may have grown. SENDING and DEAD know a single arrow for an order that the
    broker has: they answer ACCEPTED, and the same report applied again takes the next step. A
    DEAD order that is seen is an accident: the caller freezes the instrument and raises an alarm.

    Notes
    -----
    Quantities outrank words. A full quantity is FILLED whatever the word; the word FILLED with less
    is not believed (the order stays open and is asked again); a refusal after a part was filled
    ends the rest and keeps the part, so it is CANCELLED. The words UNKNOWN and SUBMITTING change
    nothing by themselves: the caller flags the first.

    Raises
    ------
    ValueError
        If quantity is below 1 or filled_quantity below 0.
    """
    if quantity < 1 or filled_quantity < 0:
        raise ValueError(f"expected quantity >= 1 and filled_quantity >= 0, got {quantity} and {filled_quantity}")
    if current in FINAL or current is _S.NEW:
        return None
    target = _target(current, observation, filled_quantity, quantity)
    if target is None or (target is current and current is not _S.PARTIAL):
        return None
    if target in TRANSITIONS[current]:
        return target
    return _S.ACCEPTED if current in (_S.SENDING, _S.DEAD) else None


def _target(current: OrderState, observation: Observation, filled_quantity: int, quantity: int) -> OrderState | None:
    if filled_quantity >= quantity:
        return _S.FILLED
    meaning = _MEANING.get(observation)
    if filled_quantity == 0 and current is not _S.PARTIAL:
        return meaning
    if meaning in (_S.CANCELLED, _S.REJECTED):
        return _S.CANCELLED
    if meaning is _S.EXPIRED:
        return _S.EXPIRED
    return _S.PARTIAL if filled_quantity > 0 else None
