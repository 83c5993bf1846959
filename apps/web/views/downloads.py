"""Orders, trades and positions as files: filtered like their pages, and written into the audit log."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from apps.common import audit, clock
from apps.common.keys import tenant_key
from apps.common.limits import is_allowed
from apps.market.quotes import last_quotes
from apps.web import formats, words
from apps.web.access import MemberRequest, member
from apps.web.exports import BATCH, MOST_ROWS, Cell, Column, Kind, Table, file_response, table_file
from apps.web.filters import ORDER_SORTS, TRADE_KINDS, TRADE_SORTS, Filter, FilterForm, filter_words
from apps.web.order_words import CHARGE_WORDS
from apps.web.selectors import orders, positions, trades

EXPORTS_A_MINUTE = 20

_WHOLE, _MONEY, _MOMENT = Kind.WHOLE, Kind.MONEY, Kind.MOMENT
_MONEY_KIND = Column(title="Label", width=30)
_ORDER_COLUMNS = (
    _MONEY_KIND,
    Column(title="Order", width=38),
    Column(title="Share"),
    Column(title="Exchange"),
    Column(title="Side"),
    Column(title="Shares", kind=_WHOLE),
    Column(title="Filled", kind=_WHOLE),
    Column(title="Average price (INR)", kind=_MONEY),
    Column(title="Terms", width=24),
    Column(title="Why", width=24),
    Column(title="Bot"),
    Column(title="State", width=20),
    Column(title="Written down (IST)", kind=_MOMENT, width=20),
)
_TRADE_COLUMNS = (
    _MONEY_KIND,
    Column(title="Trade", width=20),
    Column(title="Order", width=38),
    Column(title="Traded (IST)", kind=_MOMENT, width=20),
    Column(title="Share"),
    Column(title="Exchange"),
    Column(title="Side"),
    Column(title="Shares", kind=_WHOLE),
    Column(title="Price (INR)", kind=_MONEY),
    Column(title="Value (INR)", kind=_MONEY),
    *(Column(title=f"{name} (INR)", kind=_MONEY) for name in CHARGE_WORDS.values()),
    Column(title="Charges (INR)", kind=_MONEY),
    Column(title="Cost of shares sold (INR)", kind=_MONEY),
    Column(title="Gross gain (INR)", kind=_MONEY),
    Column(title="Entry charges of shares sold (INR)", kind=_MONEY),
    Column(title="Net gain before tax (INR)", kind=_MONEY),
    Column(title="Why", width=24),
    Column(title="Bot"),
)
_POSITION_COLUMNS = (
    _MONEY_KIND,
    Column(title="Share"),
    Column(title="Name", width=28),
    Column(title="Exchange"),
    Column(title="Bot"),
    Column(title="Shares", kind=_WHOLE),
    Column(title="Average price (INR)", kind=_MONEY),
    Column(title="Last price (INR)", kind=_MONEY),
    Column(title="Price as of (IST)", kind=_MOMENT, width=20),
    Column(title="Value (INR)", kind=_MONEY),
    Column(title="Open gain before charges of selling (INR)", kind=_MONEY),
    Column(title="Charges so far (INR)", kind=_MONEY),
    Column(title="Stop (INR)", kind=_MONEY),
    Column(title="Target (INR)", kind=_MONEY),
    Column(title="Bought (IST)", kind=_MOMENT, width=20),
)


def order_form(query: Mapping[str, Any]) -> FilterForm:
    return FilterForm(query, bots=orders.bot_names(), sorts=ORDER_SORTS)


def trade_form(query: Mapping[str, Any]) -> FilterForm:
    return FilterForm(query, bots=orders.bot_names(), sorts=TRADE_SORTS, kinds=TRADE_KINDS)


@require_safe
@member()
def order_export(request: MemberRequest, form: str) -> HttpResponse:
    """The filtered orders as a file."""
    fields = order_form(request.GET)
    chosen = fields.chosen()
    found = orders.orders_filtered(chosen).count()

    def rows() -> Iterable[Sequence[Cell]]:
        return map(_order_cells, orders.orders_streamed(chosen, batch=BATCH))

    return _answer(request, form, "orders", _ORDER_COLUMNS, found, rows, chosen, _filter_facts(fields, chosen))


def _order_cells(row: orders.OrderRow) -> Sequence[Cell]:
    return (
        *(row.money, str(row.id), row.instrument, row.exchange, row.side, row.quantity, row.filled_quantity),
        *(row.average_price, row.terms, row.purpose, row.bot, row.state.label, row.created_at),
    )


@require_safe
@member()
def trade_export(request: MemberRequest, form: str) -> HttpResponse:
    """The filtered trades as a file, with charges by name and what each sale realized."""
    fields = trade_form(request.GET)
    chosen = fields.chosen()
    found = trades.trades_filtered(chosen).count()

    def rows() -> Iterable[Sequence[Cell]]:
        return map(_trade_cells, trades.trades_streamed(chosen, batch=BATCH))

    return _answer(request, form, "trades", _TRADE_COLUMNS, found, rows, chosen, _filter_facts(fields, chosen))


def _trade_cells(row: trades.TradeRow) -> Sequence[Cell]:
    lines, result = dict(row.charge_lines), row.result
    realized = (result.cost, result.gross, result.entry_charges, result.net) if result else (None,) * 4
    return (
        *(row.money, row.trade_id, str(row.order_id), row.traded_at, row.instrument, row.exchange, row.side),
        *(row.quantity, row.price, row.value),
        *(lines.get(name) for name in CHARGE_WORDS.values()),
        *(row.charges, *realized, row.purpose, row.bot),
    )


@require_safe
@member()
def position_export(request: MemberRequest, form: str) -> HttpResponse:
    """The open positions with their last prices as a file."""
    held = positions.open_positions()
    view = positions.positions_view(held, last_quotes({position.instrument_id for position in held}))
    labels = {position.pk: orders.money_label(position.connection) for position in held}

    def rows() -> Iterable[Sequence[Cell]]:
        return (_position_cells(row, labels[row.id]) for row in view.rows)

    return _answer(request, form, "positions", _POSITION_COLUMNS, len(view.rows), rows, Filter(), ())


def _position_cells(row: positions.PositionRow, label: str) -> Sequence[Cell]:
    return (
        *(label, row.instrument, row.name, row.exchange, row.bot_name, row.quantity, row.average_price),
        *(row.last_price, row.price_at, row.value, row.pnl, row.charges),
        *(row.stop.price if row.stop else None, row.target.price if row.target else None, row.opened_at),
    )


def _filter_facts(fields: FilterForm, chosen: Filter) -> tuple[tuple[str, str], ...]:
    names = dict(fields.bots)
    bot_name = names.get(str(chosen.bot_id), "")
    return tuple(filter_words(chosen, bot_name=bot_name, kinds=fields.kinds))


def _answer(
    request: MemberRequest,
    form: str,
    name: str,
    columns: tuple[Column, ...],
    found: int,
    rows: Callable[[], Iterable[Sequence[Cell]]],
    chosen: Filter,
    facts: tuple[tuple[str, str], ...],
) -> HttpResponse:
    key = tenant_key(request.tenant.pk, "export", name, form)
    if not is_allowed(key, most=EXPORTS_A_MINUTE, seconds=60, when_unknown=False):
        return _said("Too many exports within a minute. Wait a minute and try again.", status=429)
    if found > MOST_ROWS[form]:
        most = formats.number(MOST_ROWS[form], places=0)
        return _said(
            f"This list has {formats.number(found, places=0)} rows; a file of this kind takes at most {most}. "
            "Choose fewer days and save it in parts.",
            status=422,
        )
    now = clock.now()
    about = (
        ("List", name.capitalize()),
        ("Account", request.tenant.name),
        *facts,
        ("Made", formats.ist(now, seconds=True)),
        ("Rows", str(found)),
        ("Money", words.EXPORT_MONEY_WORDS),
        ("Gains", words.EXPORT_GAIN_WORDS),
    )
    file = table_file(Table(name=name.capitalize(), columns=columns, rows=rows(), facts=about), form)
    audit.record(f"{name}.exported", actor=audit.user_actor(request.user.pk), data={"rows": found, "form": form})
    days = f" {chosen.first or 'first'} to {chosen.last or 'now'}" if chosen.first or chosen.last else " all days"
    made = now.astimezone(formats.IST).strftime("%Y-%m-%d %H%M IST")
    title = f"ARUN {name} {request.tenant.name}{days if facts else ''}, made {made}, {found} rows"
    answer = file_response(request, file, name=title.replace(",", ""), form=form)
    return cast("HttpResponse", answer)  # the views of members are typed by what nearly all of them return


def _said(text: str, *, status: int) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")
