"""The one most severe thing that the reader should know, with the way to it."""

from dataclasses import dataclass


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
    held_by: str,
) -> Banner | None:
    """Return the banner of the most severe of these, or None when nothing needs the reader."""
    if unknown_orders:
        what = "The outcome of an order is" if unknown_orders == 1 else f"The outcomes of {unknown_orders} orders are"
        return Banner(
            kind="danger",
            title=f"{what} unknown, checking with the broker.",
            text="Nothing is sent again, and nothing more of these shares is bought until the broker's books tell.",
            action="See what is known",
            action_url=unknown_url,
        )
    if session_lost:
        return Banner(
            kind="danger",
            title="The broker session has ended.",
            text="ARUN neither buys nor sells. What it holds stays as it is.",
        )
    if books_failing:
        return Banner(
            kind="danger",
            title="The broker's books cannot be read.",
            text="ARUN buys nothing until they can, and goes on trying. There is nothing for you to do.",
        )
    if differences:
        what = "one share" if differences == 1 else f"{differences} shares"
        return Banner(
            kind="notice",
            title=f"Your broker's count of {what} differs from ARUN's books.",
            text="ARUN buys none of that share until you say what happened. What it holds is still sold by the rule.",
            action="Say what happened",
            action_url=differences_url,
        )
    if held_by:
        return Banner(kind="notice", title=f"Held back by {held_by}.", text="The bot's own button does not lift this.")
    return None
