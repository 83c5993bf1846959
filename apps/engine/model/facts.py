"""Unknown means no: the one way in which a datum that is missing or impossible becomes a denial."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from apps.engine.model.choices import Reason
from apps.engine.model.decision import Denial, Numbers
from apps.engine.model.instrument import is_usable_price
from apps.engine.model.snapshot import Quote

_FUTURE_SECONDS = 5  # clocks of feeds run a little ahead; more than this is not a clock

# Most shares stop at a circuit limit of 20 % a day, and the others rarely pass half. A price that is a fifth or five
# times of what was traded just before is a junk print (rows of 0 and 1 rupee occur in real files) or another share.
_JUNK_FACTOR = 5


def unknown(fact: str, **where: str) -> Denial:
    """Return the denial of a fact that was not known, by its name; `where` may add the scope."""
    return Denial(reason=Reason.FACT_UNKNOWN, numbers={"fact": fact, **where})


def invalid(fact: str, got: object) -> Denial:
    """Return the denial of a fact that cannot be what it is, by its name and its text."""
    return Denial(reason=Reason.FACT_INVALID, numbers={"fact": fact, "got": str(got)})


def is_known(amount: Decimal | None) -> bool:
    """Return whether an amount is there and finite (NaN and infinity count as unknown)."""
    return amount is not None and amount.is_finite()


def price_fault(fact: str, price: Decimal | None) -> Denial | None:
    """Return None for a price that is a positive number, else its denial."""
    if price is None:
        return unknown(fact)
    return None if is_usable_price(price) else invalid(fact, price)


def quote_fault(
    quote: Quote | None, *, now: datetime, max_age_seconds: int, references: Iterable[Decimal | None] = ()
) -> Denial | None:
    """Return None for a quote that may be acted on at `now`, else QUOTE_MISSING, QUOTE_INVALID or QUOTE_STALE.

    `references` are prices in rupees that the market confirmed lately; an unknown one says nothing. A quote that is
    more than five times one of them, or less than a fifth, is no price.
    """
    if quote is None:
        return Denial(reason=Reason.QUOTE_MISSING)
    age_seconds = int((now - quote.at).total_seconds())
    if not is_usable_price(quote.last_price) or age_seconds < -_FUTURE_SECONDS:
        got: Numbers = {"last_price": str(quote.last_price), "age_seconds": age_seconds}
        return Denial(reason=Reason.QUOTE_INVALID, numbers=got)
    for reference in references:
        if reference is not None and is_usable_price(reference) and _is_junk(quote.last_price, reference):
            got = {"last_price": quote.last_price, "age_seconds": age_seconds, "reference_price": reference}
            return Denial(reason=Reason.QUOTE_INVALID, numbers=got)
    if age_seconds > max_age_seconds:
        ages: Numbers = {"age_seconds": age_seconds, "max_age_seconds": max_age_seconds}
        return Denial(reason=Reason.QUOTE_STALE, numbers=ages)
    return None


def _is_junk(price: Decimal, reference: Decimal) -> bool:
    return price * _JUNK_FACTOR < reference or price > reference * _JUNK_FACTOR
