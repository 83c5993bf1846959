"""Judging one line of an uploaded list: accepted, corrected (what was changed), or refused (and why). Pure.

What the lines are judged against is an argument: the bot they are for, what is watched already, and which shares there
are.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from apps.engine.errors import FieldFault, InvalidParamsError
from apps.engine.model.choices import Mode, Sizing, Timeframe
from apps.engine.model.params import JsonValue, StrategyParams
from apps.trading.overrides import OwnSettings, effective_params, own_settings, share_limits
from apps.trading.share_files import FileLine, ShareFile, clean

OFF = 999
"""What the old desktop program wrote where a rule was switched off."""

_TIMEFRAME = re.compile(r"(\d{1,4})?(s|sec|second|m|min|minute|h|hr|hour|d|day|daily)?s?", re.ASCII)
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_WHOLE_UNITS = frozenset({"h", "d"})  # "hour" and "day" mean one of them; "minute" alone means nothing
_YES = frozenset({"yes", "y", "true", "t", "1", "on", "enabled", "active"})
_NO = frozenset({"no", "n", "false", "f", "0", "off", "disabled", "inactive"})
OFF_WORDS = frozenset({"off", "none", "no", "-", "na", "n/a", "nil"})
_SUFFIXES = {".NS": "NSE", ".BO": "BSE", ".NSE": "NSE", ".BSE": "BSE"}
_PREFIXES = {"NSE:": "NSE", "BSE:": "BSE", "SIM:": "SIM"}
_SERIES = ("-EQ", "-BE")
_PLAIN_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,15})?", re.ASCII)
_GROUPED_NUMBER = re.compile(r"\d{1,3}(,\d{2,3})*,\d{3}(\.\d{1,15})?", re.ASCII)
_COMMA_NUMBER = re.compile(r"\d{1,15},\d{1,2}", re.ASCII)

NUMBERS = (
    "buy_rsi",
    "sell_rsi",
    "profit_target_percent",
    "stop_loss_percent",
    "trailing_stop_percent",
    "catastrophic_stop_percent",
    "cooldown_candles",
    "max_entries_per_day",
)
LIMITS = ("trade_cap", "max_instrument_exposure")
SIZES = {
    "quantity": Sizing.FIXED_QUANTITY,
    "amount": Sizing.FIXED_AMOUNT,
    "percent": Sizing.PERCENT,
}
LABELS = {
    "symbol": "Symbol",
    "exchange": "Exchange",
    "broker": "Broker",
    "enabled": "Enabled",
    "timeframe": "Timeframe",
    "mode": "Strategy",
    "buy_rsi": "Buy RSI",
    "sell_rsi": "Sell RSI",
    "profit_target_percent": "Profit Target %",
    "stop_loss_percent": "Stop Loss %",
    "trailing_stop_percent": "Trailing Stop %",
    "catastrophic_stop_percent": "Catastrophic Stop %",
    "quantity": "Quantity",
    "amount": "Amount",
    "percent": "% of Capital",
    "sizing": "Size",
    "size": "Size",
    "cooldown_candles": "Cooldown Candles",
    "max_entries_per_day": "Max Entries per Day",
    "trade_cap": "Trade Cap",
    "max_instrument_exposure": "Max Exposure",
}
_CAN_BE_OFF = frozenset(
    {
        "buy_rsi",
        "sell_rsi",
        "profit_target_percent",
        "stop_loss_percent",
        "trailing_stop_percent",
        "catastrophic_stop_percent",
    }
)


class Verdict(StrEnum):
    ACCEPTED = "ACCEPTED"  # as it stands
    CORRECTED = "CORRECTED"  # can be saved as corrected
    REFUSED = "REFUSED"  # saves nothing


class Effect(StrEnum):
    """What saving a line would do."""

    ADD = "ADD"
    CHANGE = "CHANGE"
    SAME = "SAME"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """An instrument as the lines need it."""

    id: UUID
    exchange: str
    tradingsymbol: str
    lot_size: int = 1
    freeze_quantity: int | None = None
    is_index: bool = False
    is_active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """The shares that the file may mean, by (exchange, symbol), and the new name of those that were renamed."""

    shares: Mapping[tuple[str, str], Share]
    renamed: Mapping[tuple[str, str], Share] = field(default_factory=dict)
    similar: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetBot:
    """A bot that lines can go to."""

    id: UUID | None
    name: str
    params: StrategyParams


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A share that is watched already: by which bot, and how."""

    bot_id: UUID | None
    bot_name: str
    is_enabled: bool
    own: OwnSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the lines are for: the bot, its connection, what is there already, and how many more the plan allows.

    `places_left` None means no limit. `others` are the further bots of the same connection.
    """

    bot: TargetBot
    venue: str
    broker: str = ""
    places_left: int | None = None
    plan_limit: int | None = None
    watched: Mapping[UUID, Watched] = field(default_factory=dict)
    others: tuple[TargetBot, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedRow:
    """What a line asks to be saved."""

    instrument_id: UUID
    bot_id: UUID | None
    is_enabled: bool
    own: OwnSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """One line with its verdict. `wanted` and `effect` are None exactly where it is refused."""

    line: int
    typed: tuple[str, ...]
    verdict: Verdict
    exchange: str = ""
    tradingsymbol: str = ""
    corrections: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    wanted: WantedRow | None = None
    effect: Effect | None = None
    bot_name: str = ""


def judge_lines(file: ShareFile, target: Target, catalog: Catalog) -> tuple[ReportRow, ...]:
    """Return exactly one row for each line of the file, in its order."""
    judge = _Judge(file, target, catalog)
    return tuple(judge.row(line) for line in file.lines)


class _RefusedError(Exception):
    """A cell of the line cannot be meant. The text says what was expected and what came."""


def _refused(column: str, expected: str, got: str) -> _RefusedError:
    return _RefusedError(f"{LABELS[column]}: expected {expected}, got {got or 'nothing'}.")


@dataclass(slots=True)
class _Line:
    """A line while it is judged."""

    file: ShareFile
    cells: dict[str, str]
    corrections: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)

    def has(self, column: str) -> bool:
        return column in self.cells

    def correct(self, column: str, got: str, became: str, because: str = "") -> None:
        self.corrections.append(f"{LABELS[column]}: {got} became {became}{f' ({because})' if because else ''}.")


class _Judge:
    """Judges the lines one after another: a line can use up a place, or repeat a share of a line before."""

    def __init__(self, file: ShareFile, target: Target, catalog: Catalog) -> None:
        self.file = file
        self.target = target
        self.catalog = catalog
        self.seen: dict[UUID, int] = {}
        self.places_used = 0

    def row(self, found: FileLine) -> ReportRow:
        if found.fault:
            return ReportRow(line=found.number, typed=found.cells, verdict=Verdict.REFUSED, refusals=(found.fault,))
        line = _Line(self.file, {})
        share, wanted, bot = None, None, self.target.bot
        try:
            line.cells = dict(self._cells(found, line))
            share = self._share(line)
            bot = self._bot(line, share)
            wanted = self._wanted(line, share, bot)
            self._place(found.number, share)
        except _RefusedError as error:
            line.refusals.append(str(error))
        name = share or Share(id=UUID(int=0), exchange="", tradingsymbol="")
        if line.refusals or wanted is None or share is None:
            return ReportRow(
                line=found.number,
                typed=found.cells,
                verdict=Verdict.REFUSED,
                exchange=name.exchange,
                tradingsymbol=name.tradingsymbol,
                refusals=tuple(line.refusals),
            )
        self.seen[share.id] = found.number
        self.places_used += share.id not in self.target.watched
        return ReportRow(
            line=found.number,
            typed=found.cells,
            verdict=Verdict.CORRECTED if line.corrections else Verdict.ACCEPTED,
            exchange=name.exchange,
            tradingsymbol=name.tradingsymbol,
            corrections=tuple(line.corrections),
            wanted=wanted,
            effect=self._effect(wanted),
            bot_name=bot.name,
        )

    def _cells(self, found: FileLine, line: _Line) -> Iterator[tuple[str, str]]:
        """Yield the cells that mean something, without Excel's marks of text."""
        for column, cell in zip(self.file.columns, found.cells, strict=True):
            if column and column != "reason":
                yield column, _without_marks(column, cell, line)

    # --- which share --------------------------------------------------------------------------------------------------

    def _share(self, line: _Line) -> Share:
        typed = line.cells["symbol"]
        if not typed:
            raise _refused("symbol", "the symbol of a share", "")
        asked = line.cells.get("exchange", "").upper()
        share = self._find(line, typed, asked)
        if share.is_index:
            raise _refused("symbol", "a share or a fund", f"{share.tradingsymbol}, which is an index and not for sale")
        if not share.is_active:
            raise _refused("symbol", "a share that is traded", f"{share.tradingsymbol}, which is not traded any more")
        if share.id in self.seen:
            raise _refused("symbol", "each share once", f"{share.tradingsymbol} of line {self.seen[share.id]} again")
        return share

    def _find(self, line: _Line, typed: str, asked: str) -> Share:
        venue = self.target.venue
        for exchange, symbol in _readings(typed, asked or venue):
            share = self.catalog.shares.get((venue, symbol)) or self.catalog.renamed.get((venue, symbol))
            if share is None:
                continue
            if share.tradingsymbol != typed:
                because = "its name changed" if (venue, symbol) in self.catalog.renamed else ""
                line.correct("symbol", typed, share.tradingsymbol, because)
            if exchange != venue:
                line.correct("exchange", exchange, venue, "where this bot's connection trades")
            elif asked and line.cells["exchange"] != exchange:
                line.correct("exchange", line.cells["exchange"], exchange)
            return share
        raise self._not_found(typed, asked)

    def _not_found(self, typed: str, asked: str) -> _RefusedError:
        venue = self.target.venue
        where = "the simulated market, where this bot trades" if venue == "SIM" else f"a share on {venue}"
        expected = f"a share of {where}" if venue == "SIM" else where
        hint = self.catalog.similar.get(typed.upper())
        elsewhere = [
            exchange
            for exchange, symbol in {*((e, s) for e in ("NSE", "BSE", "SIM") for _, s in _readings(typed, e))}
            if exchange != venue and (exchange, symbol) in self.catalog.shares
        ]
        got = typed
        if hint:
            got += f" (did you mean {hint}?)"
        elif elsewhere:
            got += f", which is on {sorted(elsewhere)[0]}"
        elif asked and asked not in {"NSE", "BSE", "SIM"}:
            got += f" on {asked}"
        return _refused("symbol", expected, got)

    def _place(self, number: int, share: Share) -> None:
        left = self.target.places_left
        if share.id in self.target.watched or left is None or self.places_used < left:
            return
        limit = self.target.plan_limit
        has = f"at most {limit} shares, which your plan allows" if limit is not None else "no more shares"
        raise _RefusedError(f"Expected {has}; {share.tradingsymbol} would be one more.")

    # --- which bot ----------------------------------------------------------------------------------------------------

    def _bot(self, line: _Line, share: Share) -> TargetBot:
        bot = self._bot_by_timeframe(line)
        broker = line.cells.get("broker", "")
        if broker and self.target.broker and broker.lower() != self.target.broker.lower():
            line.correct("broker", broker, self.target.broker, "the bot's own connection")
        watched = self.target.watched.get(share.id)
        if watched is None or watched.bot_id == bot.id:
            return bot
        raise _RefusedError(
            f"{share.tradingsymbol} is watched by the bot {watched.bot_name}. "
            "Expected a share that no other bot of the connection watches; move it first."
        )

    def _bot_by_timeframe(self, line: _Line) -> TargetBot:
        bot, typed = self.target.bot, line.cells.get("timeframe", "")
        if not typed:
            return bot
        timeframe = _timeframe(typed)
        if timeframe is None:
            raise _refused("timeframe", "one of " + ", ".join(each.value for each in Timeframe), typed)
        if timeframe is bot.params.timeframe:
            return bot
        for other in self.target.others:
            if other.params.timeframe is timeframe:
                line.corrections.append(f"{LABELS['timeframe']}: {typed} goes to the bot {other.name}, which uses it.")
                return other
        line.correct(
            "timeframe", typed, bot.params.timeframe.value, "a bot has one timeframe; make another bot for this one"
        )
        return bot

    # --- what it has of its own ---------------------------------------------------------------------------------------

    def _wanted(self, line: _Line, share: Share, bot: TargetBot) -> WantedRow:
        watched = self.target.watched.get(share.id)
        overrides: dict[str, JsonValue] = dict(watched.own.overrides) if watched else {}
        limits: dict[str, JsonValue] = dict(watched.own.limits) if watched else {}
        is_enabled = watched.is_enabled if watched else True
        if line.cells.get("enabled"):
            is_enabled = _switch(line.cells["enabled"])
        mode = self._mode(line)
        if line.has("mode"):
            _put(overrides, "mode", mode)
        for column in NUMBERS:
            if line.has(column):
                is_enabled = self._number(line, column, overrides, is_enabled)
        self._size(line, share, overrides)
        for column in LIMITS:
            if line.has(column):
                _put(limits, column, _limit(line, column))
        own = _valid(line, bot, overrides, limits)
        return WantedRow(instrument_id=share.id, bot_id=bot.id, is_enabled=is_enabled, own=own)

    def _mode(self, line: _Line) -> JsonValue:
        typed = line.cells.get("mode", "")
        if not typed:
            return ""
        word = typed.upper().replace(" ", "")
        if word == Mode.MANAGED:
            raise _refused("mode", "TRADE, INVEST or SIP (a holding is handed over on the page Positions)", typed)
        if word not in Mode.__members__:
            raise _refused("mode", "TRADE, INVEST or SIP", typed)
        return word

    def _number(self, line: _Line, column: str, overrides: dict[str, JsonValue], is_enabled: bool) -> bool:
        """Put a parameter into the overrides; return whether the share stays switched on."""
        typed = line.cells[column]
        if not typed:
            overrides.pop(column, None)
            return is_enabled
        is_off = typed.lower() in OFF_WORDS
        number = None if is_off else _decimal(line, column)
        if column in _CAN_BE_OFF and number == OFF:
            is_off = True
            line.correct(column, typed, "off", "999 means off")
        if column == "buy_rsi" and is_off:
            overrides.pop(column, None)
            line.corrections.append(
                "Enabled: became no (without a buying level nothing is bought; what is held is sold)."
            )
            return False
        if is_off:
            overrides[column] = None
        elif number is not None:
            is_count = column in {"cooldown_candles", "max_entries_per_day"}
            overrides[column] = _whole(column, number, typed) if is_count else format(number, "f")
        return is_enabled

    def _size(self, line: _Line, share: Share, overrides: dict[str, JsonValue]) -> None:
        given = [column for column in SIZES if line.has(column)]
        filled = [column for column in given if line.cells[column]]
        if given and not filled:
            overrides.pop("sizing", None)
            overrides.pop("size", None)
        if not filled:
            return
        if len(filled) > 1:
            names = " and ".join(LABELS[column] for column in filled)
            raise _RefusedError(f"Size: expected one of Quantity, Amount and % of Capital, got {names}.")
        (column,) = filled
        number = _decimal(line, column)
        if column == "quantity" and number == OFF and self.file.is_desktop:
            line.correct(column, line.cells[column], "the bot's own size", "999 means off in this file")
            overrides.pop("sizing", None)
            overrides.pop("size", None)
            return
        if column == "quantity":
            _check_lots(share, _whole(column, number, line.cells[column]))
        overrides["sizing"], overrides["size"] = SIZES[column].value, format(number.normalize(), "f")

    def _effect(self, wanted: WantedRow) -> Effect:
        watched = self.target.watched.get(wanted.instrument_id)
        if watched is None:
            return Effect.ADD
        is_same = watched.is_enabled == wanted.is_enabled and watched.own == wanted.own
        return Effect.SAME if is_same else Effect.CHANGE


def _timeframe(typed: str) -> Timeframe | None:
    """Return the timeframe that people call 15, 15m, 15 min, 15minute, 1h, hour, 1d or daily; None for no such one."""
    found = _TIMEFRAME.fullmatch(typed.lower().replace(" ", ""))
    if found is None:
        return None
    number, unit = found.group(1), (found.group(2) or "m")[0]
    if number is None and unit not in _WHOLE_UNITS:
        return None
    seconds = int(number or 1) * _UNIT_SECONDS[unit]
    return next((each for each in Timeframe if each.seconds == seconds), None)


def _put(values: dict[str, JsonValue], name: str, value: JsonValue) -> None:
    """Set a value, or let it follow the bot again where the cell was empty."""
    if value == "":
        values.pop(name, None)
    else:
        values[name] = value


def _valid(line: _Line, bot: TargetBot, overrides: dict[str, JsonValue], limits: dict[str, JsonValue]) -> OwnSettings:
    """Return the settings if the engine takes them together with the bot's; else note every fault of the line."""
    for check, values in ((lambda given: effective_params(bot.params, given), overrides), (share_limits, limits)):
        try:
            check(values)
        except InvalidParamsError as error:
            line.refusals += [_fault_words(fault) for fault in error.faults]
    return own_settings(overrides, limits)


def _fault_words(fault: FieldFault) -> str:
    """Return a fault of the engine with the file's own titles in place of its field names."""
    if fault.field == "sizing":
        return "Amount: expected rupees, because the strategy SIP buys for a fixed amount, got nothing."
    expected = fault.expected
    for name, label in LABELS.items():
        if "_" in name:
            expected = expected.replace(name, label)
    return f"{LABELS.get(fault.field, fault.field)}: expected {expected}, got {fault.got}."


def _check_lots(share: Share, quantity: int) -> None:
    if quantity < share.lot_size:
        raise _refused("quantity", f"at least one lot, {share.lot_size}", str(quantity))
    if share.freeze_quantity is not None and quantity > share.freeze_quantity:
        raise _refused(
            "quantity", f"at most {share.freeze_quantity}, which the exchange takes in one order", str(quantity)
        )


def _readings(typed: str, exchange: str) -> Iterator[tuple[str, str]]:
    """Yield what a typed symbol can mean, as (exchange, symbol), the most literal first."""
    symbol = re.sub(r"\s+", "", typed.upper())
    yield exchange, symbol
    for prefix, named in _PREFIXES.items():
        if symbol.startswith(prefix):
            symbol, exchange = symbol.removeprefix(prefix), named
    for suffix, named in _SUFFIXES.items():
        if symbol.endswith(suffix):
            symbol, exchange = symbol.removesuffix(suffix), named
    yield exchange, symbol
    for series in _SERIES:
        if symbol.endswith(series):
            yield exchange, symbol.removesuffix(series)


def _without_marks(column: str, cell: str, line: _Line) -> str:
    text, bare = clean(cell), _bare(cell)
    if bare.startswith(("=", "@")):
        raise _refused(column, "a value", f"the formula {bare}")
    if bare != text:
        line.correct(column, text, bare or "nothing", "Excel's mark removed")
    return bare


def _bare(cell: str) -> str:
    """Return a cell without the apostrophe or the formula by which Excel keeps a value as text."""
    bare = clean(clean(cell).removeprefix("'"))
    formula = re.fullmatch(r'=\s*"([^"]*)"', bare)
    return clean(formula.group(1)) if formula else bare


def symbols_of(file: ShareFile) -> frozenset[str]:
    """Return every symbol that a line of the file can mean."""
    at = file.columns.index("symbol")
    typed = (_bare(line.cells[at]) for line in file.lines if not line.fault)
    return frozenset(symbol for text in typed for _, symbol in _readings(text, "") if symbol)


def _switch(typed: str) -> bool:
    word = typed.lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise _refused("enabled", "yes or no", typed)


def _decimal(line: _Line, column: str) -> Decimal:
    typed = line.cells[column]
    number = typed_number(typed)
    if number is None and _COMMA_NUMBER.fullmatch(typed):
        number = Decimal(typed.replace(",", "."))
        line.correct(column, typed, str(number), "decimal comma")
    if number is None:
        raise _refused(column, "a number" + (" or off" if column in _CAN_BE_OFF else ""), typed)
    return number


def typed_number(typed: str) -> Decimal | None:
    """Return the number that a person wrote, with or without grouping, rupee sign or percent sign; None for no such."""
    text = typed.strip().removeprefix("₹").removeprefix("Rs.").removeprefix("Rs").removesuffix("%").strip()
    if _GROUPED_NUMBER.fullmatch(text):
        text = text.replace(",", "")
    return Decimal(text) if _PLAIN_NUMBER.fullmatch(text) else None


def _whole(column: str, number: Decimal, typed: str) -> int:
    if number != number.to_integral_value():
        raise _refused(column, "a whole number", typed)
    return int(number)


def _limit(line: _Line, column: str) -> JsonValue:
    typed = line.cells[column]
    if not typed or typed.lower() in OFF_WORDS:
        return ""
    return format(_decimal(line, column).normalize(), "f")
