"""The settings of a bot and of the account: what is in force, what a change would do, and every version before."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

from apps.accounts.models import User
from apps.common import clock
from apps.engine.errors import UnknownChargesError
from apps.engine.execution.charges import charges_for
from apps.engine.indicators.checks import needed_candles
from apps.engine.indicators.rsi import rsi_points
from apps.engine.model.choices import Mode, Side, Sizing
from apps.engine.model.params import JsonValue, RiskLimits, StrategyParams
from apps.engine.model.snapshot import PositionSnapshot
from apps.engine.strategies.exits import ExitLevels, exit_levels
from apps.market import calendar
from apps.market.quotes import CachedQuote, last_quotes
from apps.trading.models import Bot, InstrumentConfig, ParameterSet, Position, TenantLimits
from apps.trading.overrides import effective_params
from apps.web import formats
from apps.web.parameter_words import LIMITS, MODE_WORDS, PARAMETERS, value_words, words_of
from apps.web.selectors.frame import business
from apps.web.selectors.instruments import readings_of

MOST_VERSIONS = 20
_HUNDRED = Decimal(100)
_SAMPLE_PRICE = Decimal(500)
_LEVEL_WORDS = {
    "catastrophic": "catastrophic stop",
    "stop": "stop",
    "trailing": "trailing stop",
    "target": "target",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of settings: when, by whom, and what it changed."""

    id: UUID
    number: int
    at: datetime | None
    by: str
    changes: tuple[str, ...]
    is_in_force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One thing that saving would do. `kind` is empty, notice or danger."""

    text: str
    kind: str = ""


# --- versions ---------------------------------------------------------------------------------------------------------


def bot_versions(bot: Bot) -> tuple[Version, ...]:
    """Return the newest versions of a bot's settings with what each changed."""
    rows = list(ParameterSet.objects.filter(bot=bot).order_by("-version")[: MOST_VERSIONS + 1])
    names = _names(row.created_by for row in rows)
    versions = []
    for row, before in pairwise([*rows, None]):
        changes = () if before is None else tuple(changes_between(before, row))
        versions.append(
            Version(
                id=row.pk,
                number=row.version,
                at=business(row.created_at),
                by=names[row.created_by],
                changes=changes,
                is_in_force=row.pk == bot.parameters_id,
            )
        )
    return tuple(versions[:MOST_VERSIONS])


def account_versions() -> tuple[Version, ...]:
    """Return the newest versions of the account's limits with what each changed."""
    rows = list(TenantLimits.objects.order_by("-version")[: MOST_VERSIONS + 1])
    names = _names(row.created_by for row in rows)
    nothing = RiskLimits().to_json()
    versions = [
        Version(
            id=row.pk,
            number=row.version,
            at=business(row.created_at),
            by=names[row.created_by],
            changes=tuple(_differences(before.limits if before else nothing, row.limits)),
            is_in_force=row is rows[0],
        )
        for row, before in pairwise([*rows, None])
    ]
    return tuple(versions[:MOST_VERSIONS])


def access_version(bot: Bot, version_id: UUID) -> ParameterSet:
    """Return one of the bot's versions. Raises ParameterSet.DoesNotExist for a stranger's and a missing one."""
    found: ParameterSet = ParameterSet.objects.get(pk=version_id, bot=bot)
    return found


def changes_between(before: ParameterSet, after: ParameterSet) -> Iterator[str]:
    """Yield what a version changed, a few words each."""
    yield from _differences(before.params, after.params)
    yield from _differences(before.limits, after.limits)


def _differences(before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]) -> Iterator[str]:
    for name in (*PARAMETERS, *LIMITS):
        if name not in after or before.get(name) == after[name]:
            continue
        old, new = (_worded(name, values) for values in (before, after))
        if old != new:
            yield f"{words_of(name).label}: {old} → {new}"


def _worded(name: str, values: Mapping[str, JsonValue]) -> str:
    sizing = Sizing(str(values["sizing"])) if "sizing" in values else Sizing.PERCENT
    return value_words(name, values.get(name), sizing)


def _names(actors: Iterable[str]) -> dict[str, str]:
    """Return who is behind each actor, as a person reads it."""
    wanted = set(actors)
    ids = {actor: actor.removeprefix("user:") for actor in wanted if actor.startswith("user:")}
    rows = User.objects.filter(pk__in=_uuids(ids.values())).values_list("pk", "name", "email")
    people = {str(pk): name or email for pk, name, email in rows}
    return {actor: people.get(ids.get(actor, ""), "ARUN") for actor in wanted}


def _uuids(texts: Iterable[str]) -> list[UUID]:
    found = []
    for text in texts:
        try:
            found.append(UUID(text))
        except ValueError:
            continue
    return found


# --- what is in force -------------------------------------------------------------------------------------------------


def params_in_force(params: StrategyParams, capital: Decimal) -> dict[str, str]:
    """Return what each parameter really does now, where that is not what its field says."""
    found = dict.fromkeys(params.suppressed_fields, _suppressed_words(params))
    if params.never_sell_at_loss and params.mode in (Mode.TRADE, Mode.MANAGED):
        found["never_sell_at_loss"] = hold_words(params)
    if params.sizing is Sizing.PERCENT:
        found["size"] = f"{formats.inr(capital * params.size / _HUNDRED, places=0)} a purchase now."
    if params.mode is not Mode.SIP:
        found |= dict.fromkeys(("sip_period", "sip_day", "sip_dip_days"), "Counts in the way of trading SIP only.")
    return found


def hold_words(params: StrategyParams) -> str:
    """Return how far down a bot that never sells at a loss holds on."""
    if params.catastrophic_stop_percent is None:
        return "ARUN will hold losses without any bottom: the catastrophic stop is off too."
    floor = formats.trimmed(params.catastrophic_stop_percent)
    return (
        f"ARUN will hold losses down to {formats.MINUS}{floor}%, the catastrophic stop, which is separate. Closing a "
        "position yourself, Stop and flatten, and selling at a day's loss sell lower all the same."
    )


def _suppressed_words(params: StrategyParams) -> str:
    if params.mode in (Mode.SIP, Mode.INVEST):
        return f"No effect in the way of trading {MODE_WORDS[params.mode][0]}."
    return "No effect while the bot never sells at a loss."


def limits_in_force(own: RiskLimits, account: RiskLimits) -> dict[str, str]:
    """Return which limit counts where the account's is the stricter one."""
    found = {}
    for name in LIMITS:
        mine, wider = getattr(own, name), getattr(account, name)
        if isinstance(mine, bool) or wider is None:
            continue
        if mine is None or wider < mine:
            found[name] = f"The account allows {value_words(name, wider)}."
    return found


def charges_words(bot: Bot, params: StrategyParams, capital: Decimal) -> str:
    """Return what a usual purchase and its sale cost, and from which target on they pay; nothing where unknown."""
    rupees = capital * params.size / _HUNDRED if params.sizing is Sizing.PERCENT else params.size
    if params.sizing is Sizing.FIXED_QUANTITY:
        rupees = params.size * _SAMPLE_PRICE
    quantity = max(1, int(rupees / _SAMPLE_PRICE))
    exchange = bot.connection.venue
    on = calendar.trading_date(exchange, clock.now())
    try:
        paid = sum(
            charges_for(bot.connection.broker, on, side, quantity, _SAMPLE_PRICE, exchange=exchange).total
            for side in (Side.BUY, Side.SELL)
        )
    except UnknownChargesError:
        return ""
    notional = quantity * _SAMPLE_PRICE
    percent = Decimal(paid) / notional * _HUNDRED
    return (
        f"Buying and selling {quantity} shares at {formats.inr(_SAMPLE_PRICE, places=0)} costs "
        f"{formats.inr(Decimal(paid))} in charges, {formats.percent(percent)} of the price. A target below that loses."
    )


# --- what a change would do -------------------------------------------------------------------------------------------


def strategy_effects(
    bot: Bot, before: StrategyParams, after: StrategyParams, *, limits: Sequence[RiskLimits], capital: Decimal
) -> tuple[Effect, ...]:
    """Return what saving would do: every change in words, then what it does to what is held and watched.

    `limits` are those before and after.
    """
    old = before.to_json(), limits[0].to_json()
    new = after.to_json(), limits[1].to_json()
    new[1]["capital"] = old[1]["capital"]  # told as the money of the bot
    changes = [*_differences(old[0], new[0]), *_differences(old[1], new[1])]
    if capital != bot.allocated_capital:
        changes.insert(0, f"Money of this bot: {formats.inr(bot.allocated_capital)} → {formats.inr(capital)}")
    if not changes:
        return ()
    effects = [Effect(text=text) for text in changes]
    effects += _rhythm_effects(before, after)
    effects += _position_effects(bot, before, after)
    effects += _own_effects(bot, before, after)
    return tuple(effects)


def _rhythm_effects(before: StrategyParams, after: StrategyParams) -> Iterator[Effect]:
    if (before.timeframe, before.rsi_period) != (after.timeframe, after.rsi_period):
        need = needed_candles(after.rsi_period)
        yield Effect(
            text=f"Shares are judged on the new candles from the next one on; each needs {need} of them first.",
            kind="notice",
        )
    if after.never_sell_at_loss and not before.never_sell_at_loss:
        yield Effect(text=hold_words(after), kind="notice")
    if after.stop_loss_percent is None and before.stop_loss_percent is not None and not after.never_sell_at_loss:
        yield Effect(text="Without a stop loss only the catastrophic stop limits a loss.", kind="notice")


def _position_effects(bot: Bot, before: StrategyParams, after: StrategyParams) -> Iterator[Effect]:
    held = list(Position.objects.filter(bot=bot, closed_at=None, quantity__gt=0).select_related("instrument"))
    if not held:
        return
    quotes = last_quotes(position.instrument_id for position in held)
    overrides = dict(InstrumentConfig.objects.filter(bot=bot).values_list("instrument_id", "overrides"))
    for position in sorted(held, key=lambda each: each.instrument.tradingsymbol):
        own = overrides.get(position.instrument_id) or {}
        quote = quotes.get(position.instrument_id)
        yield from _level_effects(
            position, _levels(position, before, own, quote), _levels(position, after, own, quote), quote
        )
    yield from _rsi_effects(held, before, after, overrides)


def _rsi_effects(
    held: Sequence[Position],
    before: StrategyParams,
    after: StrategyParams,
    overrides: Mapping[UUID, Mapping[str, JsonValue]],
) -> Iterator[Effect]:
    """Yield the shares that the RSI rule would sell with the next candle, and would not have sold before."""
    readings = readings_of([position.instrument for position in held], after)
    for position in held:
        reading, own = readings.get(position.instrument_id), overrides.get(position.instrument_id) or {}
        if reading is None or reading.rsi is None:
            continue
        rsi = rsi_points(reading.rsi)
        old, new = (_sell_level(effective_params(params, own)) for params in (before, after))
        if new is not None and rsi >= new and (old is None or rsi < old):
            text = (
                f"{position.instrument.tradingsymbol} would be sold with the next candle: its RSI of "
                f"{formats.trimmed(rsi.quantize(Decimal('0.1')))} is at or over {formats.trimmed(new)}."
            )
            yield Effect(text=text, kind="danger")


def _sell_level(params: StrategyParams) -> Decimal | None:
    """Return the RSI from which a lot is sold, None where the rule is not asked."""
    return params.sell_rsi if params.mode in (Mode.TRADE, Mode.MANAGED) else None


def _levels(
    position: Position, params: StrategyParams, own: Mapping[str, JsonValue], quote: CachedQuote | None
) -> ExitLevels:
    lot = PositionSnapshot(
        position_id=str(position.pk),
        quantity=position.quantity,
        average_price=position.average_price,
        highest_price=position.highest_price,
        entered_at=position.opened_at,
        exit_no=1,
        stop_price=position.stop_price,
        target_price=position.target_price,
    )
    levels = exit_levels(effective_params(params, own), lot, None if quote is None else quote.last_price)
    if not params.never_sell_at_loss:
        return levels
    average = position.average_price  # a stop under it cannot sell while the bot never sells at a loss
    return replace(
        levels,
        stop=levels.stop if levels.stop is not None and levels.stop > average else None,
        trailing=levels.trailing if levels.trailing is not None and levels.trailing > average else None,
    )


def _level_effects(
    position: Position, before: ExitLevels, after: ExitLevels, quote: CachedQuote | None
) -> Iterator[Effect]:
    name = position.instrument.tradingsymbol
    for field, words in _LEVEL_WORDS.items():
        old, new = getattr(before, field), getattr(after, field)
        if old != new:
            yield Effect(text=f"{name}: its {words} moves from {_rupees(old)} to {_rupees(new)}.")
    crossed = _crossed(after, quote)
    if crossed and not _crossed(before, quote):
        price = formats.inr(None if quote is None else quote.last_price)
        yield Effect(
            text=f"{name} would be sold at once: its last price of {price} is past the {crossed}.", kind="danger"
        )


def _crossed(levels: ExitLevels, quote: CachedQuote | None) -> str:
    """Return the first level that the last price is past, by which the lot would be sold now."""
    if quote is None:
        return ""
    for field, words in _LEVEL_WORDS.items():
        level = getattr(levels, field)
        if level is not None and (quote.last_price >= level if field == "target" else quote.last_price <= level):
            return words
    return ""


def _rupees(price: Decimal | None) -> str:
    return "none" if price is None else formats.inr(price)


def _own_effects(bot: Bot, before: StrategyParams, after: StrategyParams) -> Iterator[Effect]:
    """Yield the shares that keep a setting of their own where the bot's changes."""
    old, new = before.to_json(), after.to_json()
    changed = {name for name in new if old[name] != new[name]}
    configs = InstrumentConfig.objects.filter(bot=bot).exclude(overrides={}).select_related("instrument")
    for config in configs.order_by("instrument__tradingsymbol"):
        kept = [name for name in PARAMETERS if name in changed & set(config.overrides)]
        if kept:
            labels = ", ".join(words_of(name).label.lower() for name in kept)
            yield Effect(text=f"{config.instrument.tradingsymbol} keeps its own {labels}.")


def account_effects(before: RiskLimits, after: RiskLimits) -> tuple[Effect, ...]:
    """Return what saving the account's limits would do."""
    changes = tuple(Effect(text=text) for text in _differences(before.to_json(), after.to_json()))
    if not changes:
        return ()
    counts = Effect(text="The next look of every bot counts by them. What is held already is not sold for it.")
    if after.flatten_at_daily_loss:
        counts = replace(counts, text="The next look of every bot counts by them.")
    return (*changes, counts)
