"""The words an instrument is found by: one form for what is stored and for what somebody types."""

import re
from collections.abc import Iterable
from uuid import UUID

from apps.market.choices import TermKind
from apps.market.models import FormerSymbol, Instrument, InstrumentTerm

LONGEST = 60
_APART = re.compile(r"[^0-9a-z&]+")
_INSERT_BATCH = 5000

Term = tuple[str, str]


def compact(text: str) -> str:
    """Return the text as symbols and ISINs are stored: its letters and digits, in lower case."""
    return "".join(character for character in text.lower() if character.isalnum())[:LONGEST]


def words(text: str) -> list[str]:
    """Return the words of a name, in the form in which they are stored; M&M is one word, Tata-Steel two."""
    return [word for part in _APART.split(text.lower()) if (word := compact(part))]


def terms_of(instrument: Instrument, former: Iterable[FormerSymbol]) -> set[Term]:
    """Return all that an instrument is found by, each with what it is of it."""
    found = {
        (TermKind.SYMBOL.value, compact(instrument.tradingsymbol)),
        (TermKind.ISIN.value, compact(instrument.isin)),
    }
    found |= {(TermKind.NAME.value, word) for word in words(instrument.name)}
    for past in former:
        found.add((TermKind.FORMER_SYMBOL.value, compact(past.tradingsymbol)))
        found |= {(TermKind.FORMER_NAME.value, word) for word in words(past.name)}
    return {(kind, term) for kind, term in found if term}


def terms_refresh(instruments: Iterable[Instrument]) -> int:
    """Bring the stored terms of these instruments up to date; return how many came or went."""
    instruments = list(instruments)
    ids = [instrument.pk for instrument in instruments]
    past: dict[UUID, list[FormerSymbol]] = {}
    for row in FormerSymbol.objects.filter(instrument__in=ids):
        past.setdefault(row.instrument_id, []).append(row)
    wanted = {
        (instrument.pk, kind, term)
        for instrument in instruments
        for kind, term in terms_of(instrument, past.get(instrument.pk, ()))
    }
    stored = {
        (instrument_id, kind, term): pk
        for pk, instrument_id, kind, term in InstrumentTerm.objects.filter(instrument__in=ids).values_list(
            "pk", "instrument_id", "kind", "term"
        )
    }
    gone = [pk for key, pk in stored.items() if key not in wanted]
    if gone:
        InstrumentTerm.objects.filter(pk__in=gone).delete()
    new = [
        InstrumentTerm(instrument_id=instrument_id, kind=kind, term=term)
        for instrument_id, kind, term in sorted(wanted - stored.keys())
    ]
    InstrumentTerm.objects.bulk_create(new, ignore_conflicts=True, batch_size=_INSERT_BATCH)
    return len(gone) + len(new)
