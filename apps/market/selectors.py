"""Reads of the market for screens and services."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Case, F, IntegerField, QuerySet, Value, When
from django.db.models.functions import Length

from apps.market.choices import Exchange, Listing, TermKind
from apps.market.models import FormerSymbol, Instrument, InstrumentTerm
from apps.market.terms import compact, words

MOST_MATCHES = 50

_INSIDE_FROM = 3  # letters: fewer stand inside too many symbols to mean anything
_WHOLE = (TermKind.SYMBOL, TermKind.ISIN, TermKind.FORMER_SYMBOL)
_PRESENT = (TermKind.SYMBOL, TermKind.NAME)
_KIND_ORDER = Case(
    *(When(kind=kind, then=Value(place)) for place, kind in enumerate(TermKind)), output_field=IntegerField()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentMatch:
    """An instrument that a search found, and by what.

    `former` is the row of the past whose symbol or name matched; None where the instrument's own one did.
    """

    instrument: Instrument
    matched_by: TermKind
    is_exact: bool = False
    former: FormerSymbol | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StarterPack:
    """A first choice of instruments for somebody who has none in mind; empty where none of them is listed."""

    key: str
    title: str
    exchange: str
    instruments: tuple[Instrument, ...]


# --- search -----------------------------------------------------------------------------------------------------------


def instrument_search(
    text: str, *, exchanges: Iterable[str] = (Exchange.NSE, Exchange.BSE, Exchange.SIM), limit: int = 20
) -> tuple[InstrumentMatch, ...]:
    """Return what a person may mean, best first: by symbol, ISIN, former symbol, words of the name.

    Each typed word must begin a word of the instrument; failing all that, the text may stand inside a symbol. Delisted
    instruments and indices are not shown; a suspended one is, and its `is_active` says that it cannot be chosen. Text
    without a letter or digit finds nothing.
    """
    whole, typed = compact(text), words(text)
    if not whole:
        return ()
    limit = max(1, min(limit, MOST_MATCHES))
    shown = Instrument.objects.filter(exchange__in=list(exchanges)).exclude(listing=Listing.DELISTED)
    shown = shown.exclude(kind=Instrument.Kind.INDEX)
    found = _by_whole(whole, shown, limit)
    for kinds, matched_by in ((_PRESENT, TermKind.NAME), (tuple(TermKind), TermKind.FORMER_NAME)):
        if len(found) < limit:
            rest = shown.exclude(pk__in=[match.instrument.pk for match in found])
            found += _by_words(typed, rest, kinds, matched_by, limit - len(found))
    if not found and len(whole) >= _INSIDE_FROM:
        found = _inside_symbols(whole, shown, limit)
    return tuple(_with_former(found, whole, typed))


def instrument_by_symbol(exchange: str, tradingsymbol: str) -> InstrumentMatch | None:
    """Return the instrument that has this symbol, or else the one that had it last; None if none ever did."""
    current = Instrument.objects.filter(exchange=exchange, tradingsymbol=tradingsymbol).first()
    if current is not None:
        return InstrumentMatch(instrument=current, matched_by=TermKind.SYMBOL, is_exact=True)
    former = (
        FormerSymbol.objects.filter(exchange=exchange, tradingsymbol=tradingsymbol)
        .select_related("instrument")
        .order_by(F("valid_to").desc(nulls_last=True), "-pk")
        .first()
    )
    if former is None:
        return None
    return InstrumentMatch(
        instrument=former.instrument, matched_by=TermKind.FORMER_SYMBOL, is_exact=True, former=former
    )


def _by_whole(whole: str, shown: QuerySet[Instrument], limit: int) -> list[InstrumentMatch]:
    """Return what has a symbol or ISIN, now or formerly, that begins with the text; a whole one first."""
    terms = (
        InstrumentTerm.objects.filter(kind__in=_WHOLE, term__startswith=whole, instrument__in=shown)
        .annotate(length=Length("term"), place=_KIND_ORDER)
        .order_by("-instrument__is_active", "length", "place", "term", "-instrument__exchange")
        .select_related("instrument")
    )
    found: dict[object, InstrumentMatch] = {}
    # One instrument has few terms of these kinds, so twice as many rows hold enough instruments.
    for term in terms[: 2 * limit]:
        match = InstrumentMatch(instrument=term.instrument, matched_by=TermKind(term.kind), is_exact=term.term == whole)
        found.setdefault(term.instrument_id, match)
    return list(found.values())[:limit]


def _by_words(
    typed: Sequence[str], shown: QuerySet[Instrument], kinds: Sequence[TermKind], matched_by: TermKind, limit: int
) -> list[InstrumentMatch]:
    rows = shown
    for word in typed:
        terms = InstrumentTerm.objects.filter(term__startswith=word, kind__in=kinds)
        rows = rows.filter(pk__in=terms.values("instrument_id"))
    ordered = rows.annotate(length=Length("name")).order_by("-is_active", "length", "tradingsymbol", "-exchange")
    return [InstrumentMatch(instrument=row, matched_by=matched_by) for row in ordered[:limit]]


def _inside_symbols(whole: str, shown: QuerySet[Instrument], limit: int) -> list[InstrumentMatch]:
    terms = InstrumentTerm.objects.filter(kind=TermKind.SYMBOL, term__contains=whole)
    rows = shown.filter(pk__in=terms.values("instrument_id")).order_by("-is_active", "tradingsymbol", "-exchange")
    return [InstrumentMatch(instrument=row, matched_by=TermKind.SYMBOL) for row in rows[:limit]]


def _with_former(found: Sequence[InstrumentMatch], whole: str, typed: Sequence[str]) -> Iterable[InstrumentMatch]:
    past = {TermKind.FORMER_SYMBOL, TermKind.FORMER_NAME}
    ids = [match.instrument.pk for match in found if match.matched_by in past]
    rows = FormerSymbol.objects.filter(instrument__in=ids).order_by(F("valid_to").desc(nulls_last=True), "-pk")
    by_instrument: dict[object, list[FormerSymbol]] = {}
    for row in rows if ids else ():
        by_instrument.setdefault(row.instrument_id, []).append(row)
    for match in found:
        if match.matched_by not in past:
            yield match
            continue
        had = by_instrument.get(match.instrument.pk, [])
        former = next((row for row in had if _has(row, whole, typed)), None)
        yield InstrumentMatch(
            instrument=match.instrument, matched_by=match.matched_by, is_exact=match.is_exact, former=former
        )


def _has(former: FormerSymbol, whole: str, typed: Sequence[str]) -> bool:
    had = words(former.name)
    return compact(former.tradingsymbol).startswith(whole) or any(
        name.startswith(word) for word in typed for name in had
    )


# --- starter packs ----------------------------------------------------------------------------------------------------

# A title is what a person reads; the symbols of the simulated market are those of the engine's simulation.
_PACKS = (
    ("sim_first", "Simulated shares: a first look", Exchange.SIM, ("SIMALPHA", "SIMBETA", "SIMGAMMA")),
    ("sim_wide", "Simulated shares: more of them", Exchange.SIM, ("SIMDELTA", "SIMEPSILON", "SIMZETA")),
    ("etfs", "Exchange-traded funds", Exchange.NSE, ("NIFTYBEES", "GOLDBEES", "BANKBEES")),
    ("blue_chips", "Blue chips", Exchange.NSE, ("RELIANCE", "INFY", "HDFCBANK")),
)


def starter_packs(*, exchanges: Iterable[str] = (Exchange.SIM, Exchange.NSE, Exchange.BSE)) -> tuple[StarterPack, ...]:
    """Return the packs of these exchanges, each with its instruments that can be traded, in the pack's order."""
    wanted = set(exchanges)
    packs = [pack for pack in _PACKS if pack[2] in wanted]
    symbols = [symbol for *_, names in packs for symbol in names]
    rows = Instrument.objects.filter(exchange__in=wanted, tradingsymbol__in=symbols, is_active=True)
    by_symbol = {(row.exchange, row.tradingsymbol): row for row in rows}
    return tuple(
        StarterPack(
            key=key,
            title=title,
            exchange=exchange,
            instruments=tuple(by_symbol[exchange, name] for name in names if (exchange, name) in by_symbol),
        )
        for key, title, exchange, names in packs
    )
