"""The published rule once more, written down as plainly as it can be and sharing nothing with the engine.

One share, one loop, numbers by hand. It is slow and knows no broker, no snapshot and no reasons for waiting: it answers
one question, which trades the rule makes of a list of candles, and a test compares the answer with the engine's.

The little market of the replay, which both sides obey:

* What is decided at the close of a candle is sent then and meets the next candle of the same session: a purchase fills
  at its open, or at its own limit if the candle falls that far, or dies; a sale fills at the open, or, where it has a
  lowest price, at the open or that price or not at all. The close of a session's last candle decides nothing.
* Inside a candle the price is looked at three times: open, low, high. A price rule that fires sells at that price.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise

INDIA = timedelta(hours=5, minutes=30)
HUNDRED = Decimal(100)


@dataclass(frozen=True)
class Bar:
    """One candle of 15 minutes: UTC start, prices, its number on the session grid, and whether it ends its session."""

    at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    grid: int
    is_last: bool

    @property
    def on(self) -> date:
        return (self.at + INDIA).date()


@dataclass(frozen=True)
class Trade:
    at: datetime
    side: str
    quantity: int
    price: Decimal
    reason: str


@dataclass
class Rule:
    """The settings that the plain rule knows; None is off."""

    mode: str = "TRADE"
    period: int = 14
    buy_rsi: Decimal = Decimal(35)
    sell_rsi: Decimal | None = Decimal(65)
    target: Decimal | None = Decimal(10)
    stop: Decimal | None = Decimal(5)
    trailing: Decimal | None = None
    catastrophic: Decimal | None = Decimal(20)
    never_at_loss: bool = False
    sizing: str = "PERCENT"
    size: Decimal = Decimal(10)
    cooldown: int = 1
    entries_a_day: int = 3
    charge_gate: bool = True
    sip_week_day: int = 1
    sip_dip_days: int = 0
    broker: str = "paper"
    daily_loss: Decimal | None = None


@dataclass
class Lot:
    quantity: int
    cost: Decimal
    entry_charges: Decimal
    highest: Decimal
    leaves_at: datetime | None = None

    @property
    def average(self) -> Decimal:
        return self.cost / self.quantity


@dataclass
class Account:
    cash: Decimal = Decimal(100_000)
    lot: Lot | None = None
    trades: list[Trade] = field(default_factory=list)
    exit_index: int | None = None
    entries: list[date] = field(default_factory=list)
    instalments: set[date] = field(default_factory=set)
    days: list[date] = field(default_factory=list)
    equity_at_close: Decimal | None = None
    loss_reached_on: date | None = None


def replayed(
    bars: list[Bar], rule: Rule, *, tick: Decimal, holding: Lot | None = None, rsis: list[Decimal | None] | None = None
) -> list[Trade]:
    """Return every trade of the rule over the candles, oldest first; `rsis` saves computing the same ones again."""
    rsis = rsis or rsis_of(bars, rule.period)
    account = Account(lot=holding, days=sorted({bar.on for bar in bars}))
    wish: tuple[str, object] | None = None
    for index, bar in enumerate(bars):
        if wish is not None:
            fill(account, rule, wish, bar, index, tick)
            wish = None
        for second, price in enumerate((bar.open, bar.low, bar.high), start=1):
            look(account, rule, bar, index, price, bar.at + timedelta(seconds=second), tick)
        if not bar.is_last:
            wish = decided(account, rule, bar, index, rsis[index], tick)
        if account.lot is not None:
            account.lot.highest = max(account.lot.highest, bar.close)
        if bar.is_last:
            account.equity_at_close = equity(account, bar.close)
    return account.trades


def rsi_of(closes: list[Decimal], period: int) -> Decimal | None:
    """Wilder's RSI of the last close over at most 200 closes; None where there are too few or nothing moves."""
    need = max(100, 5 * period)
    window = [float(close) for close in closes[-max(200, need) :]]
    if len(window) < need or len(set(window[-(period + 1) :])) == 1:
        return None
    ups = [max(after - before, 0.0) for before, after in pairwise(window)]
    downs = [max(before - after, 0.0) for before, after in pairwise(window)]
    up, down = sum(ups[:period]) / period, sum(downs[:period]) / period
    for more, less in zip(ups[period:], downs[period:], strict=True):
        up, down = (up * (period - 1) + more) / period, (down * (period - 1) + less) / period
    return Decimal(100) if down == 0 else Decimal(round(100 - 100 / (1 + up / down), 6))


def rsis_of(bars: list[Bar], period: int) -> list[Decimal | None]:
    """The RSI at the close of every candle; None while one of the newest candles is missing."""
    need = max(100, 5 * period)
    closes = [bar.close for bar in bars]
    return [
        rsi_of(closes[: index + 1], period)
        if index + 1 >= need and bar.grid - bars[index - need + 1].grid == need - 1
        else None
        for index, bar in enumerate(bars)
    ]


def decided(
    account: Account, rule: Rule, bar: Bar, index: int, rsi: Decimal | None, tick: Decimal
) -> tuple[str, object] | None:
    """What is sent at the close of a candle: ("SELL", reason, lowest price), ("BUY", quantity, limit, ...) or nothing."""
    price, now = bar.close, bar.at + timedelta(minutes=15, seconds=1)
    if account.lot is not None:
        reason = exit_reason(account, rule, price, rsi, now, bar.on, tick)
        if reason is not None:
            return ("SELL", (reason, floor_of(account.lot, rule, bar.on, reason, tick)))
        if rule.mode != "SIP":
            return None
    return purchase(account, rule, bar, index, rsi, price, tick)


def exit_reason(  # noqa: C901 - one rule after the other, as they are published
    account: Account, rule: Rule, price: Decimal, rsi: Decimal | None, now: datetime, on: date, tick: Decimal
) -> str | None:
    """The first rule that sells the lot at this price: loss of the day, then the six exits in their order."""
    lot = account.lot
    assert lot is not None
    if rule.daily_loss is not None:
        if equity(account, price) - (account.equity_at_close or Decimal(100_000)) <= -rule.daily_loss:
            account.loss_reached_on = on
        if account.loss_reached_on == on:
            return "DAILY_LOSS_FLATTEN"
    average, highest = lot.average, max(lot.highest, price, lot.average)
    sells_by_rule = rule.mode in ("TRADE", "MANAGED")
    fired = []
    if sells_by_rule and rule.catastrophic is not None and price <= average * (HUNDRED - rule.catastrophic) / HUNDRED:
        fired.append("CATASTROPHIC_STOP")
    if sells_by_rule and rule.stop is not None and price <= average * (HUNDRED - rule.stop) / HUNDRED:
        fired.append("STOP_LOSS")
    if sells_by_rule and rule.trailing is not None and price <= highest * (HUNDRED - rule.trailing) / HUNDRED:
        fired.append("TRAILING_STOP")
    if rule.mode != "SIP" and rule.target is not None and price >= average * (HUNDRED + rule.target) / HUNDRED:
        fired.append("PROFIT_TARGET")
    if sells_by_rule and rule.sell_rsi is not None and rsi is not None and rsi >= rule.sell_rsi:
        fired.append("RSI_SELL")
    if lot.leaves_at is not None and now >= lot.leaves_at:
        fired.append("SCHEDULED_EXIT")
    for reason in fired:
        lowest = floor_of(lot, rule, on, reason, tick)
        if lowest is None or price >= lowest:
            return reason
    return None


def floor_of(lot: Lot, rule: Rule, on: date, reason: str, tick: Decimal) -> Decimal | None:
    """The lowest price that pays for the lot and all charges, where nothing may be sold at a loss."""
    if not rule.never_at_loss or reason in ("CATASTROPHIC_STOP", "DAILY_LOSS_FLATTEN"):
        return None
    price = (lot.average // tick) * tick
    while price * lot.quantity - charges(rule.broker, "SELL", price * lot.quantity) < lot.cost + lot.entry_charges:
        price += tick
    return price


def purchase(  # noqa: C901, PLR0911 - one obstacle after the other
    account: Account, rule: Rule, bar: Bar, index: int, rsi: Decimal | None, price: Decimal, tick: Decimal
) -> tuple[str, object] | None:
    period = None
    if rule.mode == "MANAGED" or account.loss_reached_on == bar.on:
        return None
    if rule.daily_loss is not None and equity(account, price) - (account.equity_at_close or Decimal(100_000)) <= (
        -rule.daily_loss
    ):
        account.loss_reached_on = bar.on
        return None
    if rule.mode == "SIP":
        due = due_instalment(account, rule, bar.on, rsi)
        if due is None:
            return None
        period, reason = due
    else:
        if rsi is None or rsi > rule.buy_rsi:
            return None
        reason = "RSI_BUY"
        waited = None if account.exit_index is None else index - account.exit_index + 1
        if waited is not None and rule.cooldown > 0 and waited <= rule.cooldown:
            return None
    if account.entries.count(bar.on) >= rule.entries_a_day:
        return None
    limit = ((price * Decimal("1.005")) / tick).to_integral_value(rounding="ROUND_CEILING") * tick
    quantity = {
        "PERCENT": lambda: int(Decimal(100_000) * rule.size / HUNDRED / limit),
        "FIXED_AMOUNT": lambda: int(rule.size / limit),
        "FIXED_QUANTITY": lambda: int(rule.size),
    }[rule.sizing]()
    if quantity < 1:
        return None
    buying = charges(rule.broker, "BUY", limit * quantity)
    if rule.charge_gate and rule.target is not None and rule.mode != "SIP":
        goal = limit * (HUNDRED + rule.target) / HUNDRED
        if goal * quantity - limit * quantity <= buying + charges(rule.broker, "SELL", goal * quantity):
            return None
    in_use = Decimal(0) if account.lot is None else account.lot.cost
    if limit * quantity > Decimal(100_000) - in_use or limit * quantity + buying > account.cash:
        return None
    return ("BUY", (quantity, limit, reason, period))


def due_instalment(account: Account, rule: Rule, on: date, rsi: Decimal | None) -> tuple[date, str] | None:
    """The Monday of the week whose instalment is bought on this day, with the reason; None where none is."""
    this_monday = on - timedelta(days=on.weekday())
    due = this_monday + timedelta(days=rule.sip_week_day - 1)
    if on < due:
        # An instalment of last week whose day, and every day after it, was a holiday.
        monday, due = this_monday - timedelta(days=7), due - timedelta(days=7)
        had_a_chance = any(due <= day < this_monday for day in account.days)
        is_first = not any(this_monday <= day < on for day in account.days)
        known = account.days[0] < on
        if had_a_chance or not is_first or not known or monday in account.instalments:
            return None
        return monday, "SIP_DUE"
    if this_monday in account.instalments:
        return None
    ends = min(due + timedelta(days=rule.sip_dip_days), this_monday + timedelta(days=4))
    rest = [day for day in account.days if on < day < this_monday + timedelta(days=7)]
    data_goes_on = account.days[-1] > on
    if on >= ends or (data_goes_on and not rest):
        return this_monday, "SIP_DUE"
    return (this_monday, "SIP_DIP") if rsi is not None and rsi <= rule.buy_rsi else None


def fill(account: Account, rule: Rule, wish: tuple[str, object], bar: Bar, index: int, tick: Decimal) -> None:
    """What was sent at the last close meets this candle."""
    kind, terms = wish
    if kind == "BUY":
        quantity, limit, reason, period = terms  # type: ignore[misc]
        price = bar.open if bar.open <= limit else limit if bar.low <= limit else None
        if period is not None:
            account.instalments.add(period)  # an instalment is ordered once, whether it fills or not
        if price is not None:
            bought(account, rule, bar, quantity, price, reason)
        return
    reason, lowest = terms  # type: ignore[misc]
    price = bar.open if lowest is None or bar.open >= lowest else lowest if bar.high >= lowest else None
    if price is not None:
        sold(account, rule, bar.at, index, price, reason)


def look(account: Account, rule: Rule, bar: Bar, index: int, price: Decimal, now: datetime, tick: Decimal) -> None:
    """One look between candles: price rules and the chosen moment, never the RSI."""
    if account.lot is None:
        return
    reason = exit_reason(account, rule, price, None, now, bar.on, tick)
    account.lot.highest = max(account.lot.highest, price)
    if reason is not None:
        sold(account, rule, now, index, price, reason)


def bought(account: Account, rule: Rule, bar: Bar, quantity: int, price: Decimal, reason: str) -> None:
    paid = charges(rule.broker, "BUY", price * quantity)
    account.cash -= price * quantity + paid
    account.entries.append(bar.on)
    account.trades.append(Trade(bar.at, "BUY", quantity, price, reason))
    lot = account.lot
    if lot is None:
        account.lot = Lot(quantity=quantity, cost=price * quantity, entry_charges=paid, highest=price)
    else:
        account.lot = Lot(
            quantity=lot.quantity + quantity,
            cost=lot.cost + price * quantity,
            entry_charges=lot.entry_charges + paid,
            highest=max(lot.highest, price),
            leaves_at=lot.leaves_at,
        )


def sold(account: Account, rule: Rule, at: datetime, index: int, price: Decimal, reason: str) -> None:
    lot = account.lot
    assert lot is not None
    account.cash += price * lot.quantity - charges(rule.broker, "SELL", price * lot.quantity)
    account.trades.append(Trade(at, "SELL", lot.quantity, price, reason))
    account.lot, account.exit_index = None, index


def equity(account: Account, price: Decimal) -> Decimal:
    return account.cash + (Decimal(0) if account.lot is None else account.lot.quantity * price)


def charges(broker: str, side: str, turnover: Decimal) -> Decimal:
    """A delivery order's charges since October 2024, line by line."""

    def paisa(amount: Decimal) -> Decimal:
        return amount.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)

    stt = (turnover / 1000).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    exchange = paisa(turnover * Decimal("0.0000307"))
    sebi = paisa(turnover * Decimal("0.000001"))
    stamp = paisa(turnover * Decimal("0.00015")) if side == "BUY" else Decimal(0)
    tax = paisa((exchange + sebi) * Decimal("0.18"))
    depository = Decimal("15.34") if broker == "zerodha" and side == "SELL" else Decimal(0)
    return stt + exchange + sebi + stamp + tax + depository
