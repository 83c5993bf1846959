"""Pages of a long list that follow each other by the last row's own values: as quick at the end as at the start."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Q, QuerySet


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysetPage:
    """The rows of one page, and the last one's id where more follow."""

    rows: tuple[Any, ...]
    after: UUID | None


def keyset_page(
    rows: QuerySet[Any], *, order: Sequence[str], after: UUID | None, limit: int, everything: QuerySet[Any]
) -> KeysetPage:
    """Return the rows that follow the one with the id `after` in this order, which ends with the id.

    `everything` has the same annotations and no filters: a row that has left the filter still marks its place. Raises
    ObjectDoesNotExist for a stranger's row and a missing one. No field of the order may be null.
    """
    rows = rows.order_by(*order)
    if after is not None:
        names = [name.removeprefix("-") for name in order]
        place = everything.filter(pk=after).values_list(*names).first()
        if place is None:
            raise ObjectDoesNotExist
        rows = rows.filter(_behind(order, place))
    found = list(rows[: limit + 1])
    shown = tuple(found[:limit])
    return KeysetPage(rows=shown, after=shown[-1].pk if len(found) > limit else None)


def _behind(order: Sequence[str], place: Sequence[Any]) -> Q:
    """Return (a, b, c) > (x, y, z) for columns of either direction, with a plain bound that an index can use."""
    behind, equal = Q(), Q()
    for name, value in zip(order, place, strict=True):
        column, way = name.removeprefix("-"), "lt" if name.startswith("-") else "gt"
        behind |= equal & Q(**{f"{column}__{way}": value})
        equal &= Q(**{column: value})
    first = order[0].removeprefix("-")
    bound = "lte" if order[0].startswith("-") else "gte"
    return Q(**{f"{first}__{bound}": place[0]}) & behind
