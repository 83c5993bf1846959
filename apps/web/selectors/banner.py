"""The one most severe thing that the reader should know, with the way to it."""

from dataclasses import dataclass

from apps.engine.model.choices import RunLevel
from apps.web import words
from apps.web.selectors.above import StopAbove


@dataclass(frozen=True, slots=True, kw_only=True)
class Banner:
    """A banner of Home. `kind` is danger or notice."""

    kind: str
    title: str
    text: str
    action: str = ""
    action_url: str = ""


def most_severe(
    *,
    unknown_orders: int,
    unknown_url: str,
    books_failing: bool,
    session_lost: bool,
    differences: int,
    differences_url: str,
    above: StopAbove | None,
    above_url: str,
    held_by: str,
) -> Banner | None:
    """Return the banner of the most severe of these, or None when nothing needs the reader."""
    operator = _above(above, above_url) if above is not None else None
    candidates = (
        _unknown(unknown_orders, unknown_url) if unknown_orders else None,
        operator if above is not None and above.level >= RunLevel.STOP else None,
        _SESSION_LOST if session_lost else None,
        _BOOKS_FAILING if books_failing else None,
        _differences(differences, differences_url) if differences else None,
        operator,
        Banner(kind="notice", title=held_by, text="The bot's own button does not lift this.") if held_by else None,
    )
    return next((banner for banner in candidates if banner is not None), None)


_SESSION_LOST = Banner(
    kind="danger",
    title="The broker session has ended.",
    text="ARUN neither buys nor sells. What it holds stays as it is.",
)
_BOOKS_FAILING = Banner(
    kind="danger",
    title="The broker's books cannot be read.",
    text="ARUN buys nothing until they can, and goes on trying. There is nothing for you to do.",
)


def _unknown(orders: int, url: str) -> Banner:
    what = "The outcome of an order is" if orders == 1 else f"The outcomes of {orders} orders are"
    return Banner(
        kind="danger",
        title=f"{what} unknown, checking with the broker.",
        text="Nothing is sent again, and nothing more of these shares is bought until the broker's books tell.",
        action="See what is known",
        action_url=url,
    )


def _differences(count: int, url: str) -> Banner:
    what = "one share" if count == 1 else f"{count} shares"
    return Banner(
        kind="notice",
        title=f"Your broker's count of {what} differs from ARUN's books.",
        text="ARUN buys none of that share until you say what happened. What it holds is still sold by the rule.",
        action="Say what happened",
        action_url=url,
    )


def _above(above: StopAbove, url: str) -> Banner:
    return Banner(
        kind="danger" if above.level >= RunLevel.FLATTEN else "notice",
        title=above.title,
        text=f"{above.text} {words.ABOVE_BUTTONS}",
        action="See what it did" if url else "",
        action_url=url,
    )
