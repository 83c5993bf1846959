"""What each reason stands for: its one action, and the numbers that always come with it.

A page renders a sentence from a reason and its numbers. A name listed in `REASON_NUMBERS` is always
present; a decision may carry further ones. Units: `*_price`, `close`, `level` rupees per share;
`*_percent` 0-100; `*_at` ISO moments in UTC and `*_on` ISO dates, as text; `need`, `have`, `limit`
rupees or a count, by the reason; `scope` is the level that said no ("bot", "account"). The `quantity` of a
sale is what its order sells, with `lot_quantity` beside it where the lot is larger.
"""

from collections.abc import Mapping
from types import MappingProxyType

from apps.engine.model.choices import Action, Reason

_R = Reason

_BOUGHT = frozenset({_R.RSI_BUY, _R.SIP_DUE, _R.SIP_DIP})
_SOLD = frozenset(
    {
        _R.DAILY_LOSS_FLATTEN,
        _R.CATASTROPHIC_STOP,
        _R.STOP_LOSS,
        _R.TRAILING_STOP,
        _R.PROFIT_TARGET,
        _R.RSI_SELL,
        _R.SCHEDULED_EXIT,
    }
)
_HELD = frozenset({_R.HOLDING, _R.HELD_AT_LOSS, _R.EXIT_WORKING})
_WAITED = frozenset(
    {
        _R.RSI_ABOVE_BUY,
        _R.SIP_NOT_DUE,
        _R.SIP_NO_DIP,
        _R.COOLDOWN,
        _R.DAY_ENTRIES_USED,
        _R.ENTRY_WORKING,
        _R.HELD_ELSEWHERE,
        _R.NOTHING_TO_MANAGE,
        _R.NO_POSITION,
        _R.MARKET_CLOSED,
        _R.INSTRUMENT_OFF,
    }
)


def _action(reason: Reason) -> Action:
    groups = ((_BOUGHT, Action.BUY), (_SOLD, Action.SELL), (_HELD, Action.HOLD), (_WAITED, Action.WAIT))
    return next((action for group, action in groups if reason in group), Action.BLOCKED)


REASON_ACTION: Mapping[Reason, Action] = MappingProxyType({reason: _action(reason) for reason in Reason})

_ORDERED = ("last_price", "limit_price", "quantity", "reserved_amount")
_LOT = ("quantity", "average_price")
_CROSSED = (*_LOT, "last_price", "level", "change_percent")

REASON_NUMBERS: Mapping[Reason, tuple[str, ...]] = MappingProxyType(
    {
        # rsi stood at or under buy_rsi on the candle that closed at `close`.
        _R.RSI_BUY: ("rsi", "buy_rsi", "close", *_ORDERED),
        # The instalment of `period` ("2026-11" or "2026-W47") was due on `due_on`.
        _R.SIP_DUE: ("period", "due_on", *_ORDERED),
        # As above, and taken because rsi dipped to buy_rsi within the days to wait for a dip.
        _R.SIP_DIP: ("period", "due_on", "rsi", "buy_rsi", *_ORDERED),
        # The day's loss reached `limit`, at which everything is sold; day_pnl is there where it is known.
        _R.DAILY_LOSS_FLATTEN: (*_LOT, "limit", "scope"),
        # The last price reached `level`; change_percent is against the average price.
        _R.CATASTROPHIC_STOP: _CROSSED,
        _R.STOP_LOSS: _CROSSED,
        _R.TRAILING_STOP: (*_CROSSED, "highest_price"),
        _R.PROFIT_TARGET: _CROSSED,
        _R.RSI_SELL: (*_LOT, "rsi", "sell_rsi"),
        _R.SCHEDULED_EXIT: (*_LOT, "scheduled_at"),
        _R.HOLDING: (*_LOT, "last_price", "change_percent"),
        # `rule` is the exit reason that fired; nothing is sold under break_even_price (charges included).
        _R.HELD_AT_LOSS: (*_LOT, "last_price", "change_percent", "rule", "break_even_price"),
        _R.EXIT_WORKING: _LOT,
        _R.RSI_ABOVE_BUY: ("rsi", "buy_rsi", "close"),
        _R.SIP_NOT_DUE: ("period", "due_on"),
        _R.SIP_NO_DIP: ("period", "due_on", "until_on", "rsi", "buy_rsi"),
        _R.COOLDOWN: ("candles_since_exit", "cooldown_candles"),
        _R.DAY_ENTRIES_USED: ("entries_today", "max_entries_per_day"),
        _R.ENTRY_WORKING: (),
        _R.HELD_ELSEWHERE: (),
        _R.NOTHING_TO_MANAGE: (),
        _R.NO_POSITION: (),
        _R.MARKET_CLOSED: ("phase",),
        _R.INSTRUMENT_OFF: (),
        _R.ENTRIES_PAUSED: (),
        _R.STOPPED: (),
        _R.FLATTENING: (),
        _R.REVOKED: (),
        # `cause` is the snapshot's own name for what froze entries.
        _R.ENTRY_FROZEN: ("cause",),
        # previous_close (the exchange's), session_close (ours) and change_percent, or quantity_change, where the
        # rule saw it itself.
        _R.CORPORATE_ACTION: (),
        _R.ORDER_UNKNOWN: (),
        _R.NO_CANDLES: ("need",),
        _R.INSUFFICIENT_HISTORY: ("have", "need"),
        # `candles` closes in a row were all at `close`.
        _R.FLAT_SERIES: ("candles", "close"),
        # `missing` candles, the first of them starting at first_missing_at.
        _R.CANDLE_GAP: ("missing", "first_missing_at"),
        _R.STALE_CANDLE: ("last_at", "expected_at"),
        _R.UNFINISHED_CANDLE: ("at", "closes_at"),
        _R.DUPLICATE_CANDLE: ("at",),
        _R.OUT_OF_ORDER_CANDLE: ("at",),
        _R.OFF_GRID_CANDLE: ("at",),
        _R.NON_FINITE_PRICE: ("at",),
        _R.NON_POSITIVE_PRICE: ("at", "close"),
        _R.PRICE_JUMP: ("at", "previous_close", "close", "change_percent"),
        _R.RSI_UNKNOWN: (),
        _R.QUOTE_MISSING: (),
        _R.QUOTE_STALE: ("age_seconds", "max_age_seconds"),
        # The price is not a positive number, its moment lies in the future (a negative age), or it is beyond belief
        # beside reference_price, which the market confirmed.
        _R.QUOTE_INVALID: ("last_price", "age_seconds"),
        # `fact` is the name of the field that was None.
        _R.FACT_UNKNOWN: ("fact",),
        # `fact` is the name of the field that cannot be what it is; `got` is its text.
        _R.FACT_INVALID: ("fact", "got"),
        # Reaching target_price would gain `gain` rupees and the round trip would cost `charges`.
        _R.CHARGE_GATE: ("gain", "charges", "target_price"),
        _R.NOT_IN_NIFTY50: (),
        _R.INDEX_BELOW_AVERAGE: ("index_close", "index_average"),
        _R.LOW_TURNOVER: ("day_turnover", "minimum_turnover"),
        _R.VOLUME_SHARE: ("quantity", "day_volume", "maximum_volume_percent"),
        _R.OUTSIDE_BAND: ("limit_price", "lower_band", "upper_band"),
        _R.NOT_SELLABLE: (),
        # `amount` rupees do not buy lot_size shares at limit_price.
        _R.BELOW_ONE_LOT: ("amount", "limit_price", "lot_size"),
        _R.CASH: ("need", "have"),
        _R.ALLOCATED_CAPITAL: ("need", "have", "scope"),
        _R.TRADE_CAP: ("need", "limit", "scope"),
        _R.MAX_POSITIONS: ("have", "limit", "scope"),
        _R.INSTRUMENT_EXPOSURE: ("need", "limit", "scope"),
        _R.SECTOR_EXPOSURE: ("sector", "need", "limit", "scope"),
        _R.DAILY_LOSS: ("day_pnl", "limit", "scope"),
        _R.ORDERS_PER_DAY: ("have", "limit", "scope"),
        _R.LOSS_STREAK: ("have", "limit", "scope"),
        _R.FREEZE_QUANTITY: ("quantity", "limit"),
        # The lot has `quantity` shares, of which the broker would sell sellable_quantity.
        _R.NOTHING_SELLABLE: ("quantity", "sellable_quantity"),
    }
)
