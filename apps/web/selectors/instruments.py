"""The shares a bot watches, each with its price, its RSI, and what it waits for in words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from apps.common import clock
from apps.engine.indicators.rsi import rsi_points
from apps.engine.model.choices import Mode, OrderState, RunLevel, Side
from apps.engine.model.params import StrategyParams
from apps.engine.model.snapshot import IndicatorReading
from apps.market.choices import FeedId
from apps.market.models import Instrument
from apps.market.planes import indicator_readings
from apps.market.quotes import CachedQuote, last_quotes
from apps.market.selectors import instrument_search
from apps.trading.models import LIVE_STATES, Bot, Decision, EntryFreeze, InstrumentConfig, OrderIntent, Position
from apps.trading.overrides import effective_params
from apps.trading.selectors import Places, instrument_places, run_level
from apps.web import formats, words
from apps.web.parameter_words import own_words

MOST_FOUND = 20
LONGEST_SEARCH = 40
JUDGED_LATELY = timedelta(hours=1)
_POINT = Decimal("0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a share waits for, in words, and the kind of its mark."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareRow:
    """One share of the table. `rsi` and `price` are None where nobody knows them."""

    id: UUID
    instrument_id: UUID
    symbol: str
    name: str
    exchange: str
    is_simulated: bool
    price: Decimal | None
    price_at: datetime | None
    rsi: Decimal | None
    rsi_at: datetime | None
    buy_rsi: Decimal
    state: State
    held: int
    baseline: int
    is_enabled: bool
    own: tuple[str, ...]
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SharesView:
    """A bot's shares, the bots to choose from, and how many shares the plan has room for."""

    bot: Bot
    params: StrategyParams
    bots: tuple[Bot, ...]
    rows: tuple[ShareRow, ...]
    places: Places
    level: RunLevel


def bots_to_choose() -> tuple[Bot, ...]:
    """Return the tenant's bots, oldest first."""
    rows = Bot.objects.filter(archived_at=None).select_related("connection", "parameters")
    return tuple(rows.order_by("created_at", "id"))


def access_config(config_id: UUID) -> InstrumentConfig:
    """Return one of the tenant's watched shares. Raises InstrumentConfig.DoesNotExist for a stranger's and no one's."""
    rows = InstrumentConfig.objects.select_related("instrument", "bot__connection", "bot__parameters")
    config: InstrumentConfig = rows.get(pk=config_id)
    return config


def shares_view(bot: Bot, bots: Iterable[Bot]) -> SharesView:
    """Return the table of one bot's shares."""
    configs = list(InstrumentConfig.objects.filter(bot=bot).select_related("instrument"))
    configs.sort(key=lambda config: config.instrument.tradingsymbol)
    facts = _Facts.read(bot, configs)
    return SharesView(
        bot=bot,
        params=facts.params,
        bots=tuple(bots),
        rows=tuple(_row(config, facts) for config in configs),
        places=instrument_places(),
        level=facts.level,
    )


def share_row(config: InstrumentConfig) -> ShareRow:
    """Return one row as the table has it."""
    return _row(config, _Facts.read(config.bot, [config]))


def bot_params(bot: Bot) -> StrategyParams:
    """Return a bot's parameters; the published defaults for one that has none yet."""
    return StrategyParams() if bot.parameters is None else StrategyParams.from_json(bot.parameters.params)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What all rows of a table need, each read once."""

    params: StrategyParams
    level: RunLevel
    quotes: Mapping[UUID, CachedQuote]
    readings: Mapping[UUID, IndicatorReading]
    held: Mapping[UUID, int]
    frozen: Mapping[UUID, str]
    judged: Mapping[UUID, str]
    orders: Mapping[UUID, set[str]]

    @classmethod
    def read(cls, bot: Bot, configs: list[InstrumentConfig]) -> "_Facts":
        params = bot_params(bot)
        ids = [config.instrument_id for config in configs]
        held = Position.objects.filter(bot=bot, closed_at=None, instrument_id__in=ids)
        freezes = EntryFreeze.objects.filter(connection_id=bot.connection_id, cleared_at=None, instrument_id__in=ids)
        readings = readings_of([config.instrument for config in configs], params)
        asking = [pk for pk, reading in readings.items() if reading.rsi is not None]
        return cls(
            params=params,
            level=run_level(bot),
            quotes=last_quotes(ids),
            readings=readings,
            judged=_judged(bot, asking),
            held=dict(held.values_list("instrument_id", "quantity")),
            orders=_orders(bot, ids),
            frozen=dict(freezes.values_list("instrument_id", "reason")),
        )


def readings_of(instruments: list[Instrument], params: StrategyParams) -> dict[UUID, IndicatorReading]:
    """Return what the indicator plane says of each share on a bot's candles; one without prices is missing."""
    readings: dict[UUID, IndicatorReading] = {}
    for feed_id in sorted({instrument.feed for instrument in instruments} - {FeedId.NONE.value}):
        own = [instrument for instrument in instruments if instrument.feed == feed_id]
        readings |= indicator_readings(feed_id, own, params.timeframe, params.rsi_period, clock.now())
    return readings


def _orders(bot: Bot, instrument_ids: list[UUID]) -> dict[UUID, set[str]]:
    """Return the states of the purchases under way, by share."""
    rows = OrderIntent.objects.filter(
        connection_id=bot.connection_id, instrument_id__in=instrument_ids, side=Side.BUY, state__in=LIVE_STATES
    )
    found: dict[UUID, set[str]] = {}
    for instrument_id, state in rows.values_list("instrument_id", "state"):
        found.setdefault(instrument_id, set()).add(state)
    return found


def _judged(bot: Bot, instrument_ids: list[UUID]) -> dict[UUID, str]:
    """Return the newest decision of each share in words, if it is of the last hour."""
    rows = Decision.objects.filter(
        bot=bot, instrument_id__in=instrument_ids, decided_at__gte=clock.now() - JUDGED_LATELY
    ).order_by("instrument_id", "-decided_at", "-id")
    newest = rows.distinct("instrument_id").values_list("instrument_id", "reason", "numbers")
    return {instrument_id: words.sentence_of(reason, numbers) for instrument_id, reason, numbers in newest}


def _row(config: InstrumentConfig, facts: _Facts) -> ShareRow:
    instrument, quote = config.instrument, facts.quotes.get(config.instrument_id)
    params = effective_params(facts.params, config.overrides)
    reading = facts.readings.get(config.instrument_id)
    return ShareRow(
        id=config.pk,
        instrument_id=instrument.pk,
        symbol=instrument.tradingsymbol,
        name=instrument.name,
        exchange=instrument.exchange,
        is_simulated=instrument.is_simulated,
        price=None if quote is None else quote.last_price,
        price_at=None if quote is None else quote.at,
        rsi=_rsi(reading),
        rsi_at=None if reading is None else reading.candle_opened_at,
        buy_rsi=params.buy_rsi,
        state=_state(config, facts, params, reading),
        held=facts.held.get(config.instrument_id, 0),
        baseline=config.baseline_quantity,
        is_enabled=config.is_enabled,
        own=tuple(own_words(config.overrides, config.limits)),
        version=config.settings_version,
    )


def _state(config: InstrumentConfig, facts: _Facts, params: StrategyParams, reading: IndicatorReading | None) -> State:
    """Return what the share waits for; the first thing that holds it back comes first."""
    held = facts.held.get(config.instrument_id, 0)
    if facts.level >= RunLevel.STOP:
        return State(kind="notice", text="The bot is stopped.")
    if held:
        return State(kind="holding", text=f"Holds {formats.shares(held)}; sold by the rule.")
    return _order_state(config, facts) or _switch_state(config, facts) or _signal_state(config, facts, params, reading)


def _order_state(config: InstrumentConfig, facts: _Facts) -> State | None:
    orders = facts.orders.get(config.instrument_id, set())
    if orders & {OrderState.UNKNOWN, OrderState.PARKED}:
        return State(kind="problem", text="The outcome of an order is unknown. Checking with the broker.")
    if orders:
        return State(kind="bought", text="A purchase is under way.")
    frozen = facts.frozen.get(config.instrument_id)
    return State(kind="problem", text=f"Not bought: {words.freeze_words(frozen)}.") if frozen else None


def _switch_state(config: InstrumentConfig, facts: _Facts) -> State | None:
    if not config.is_enabled:
        return State(kind="off", text="Switched off: not bought.")
    if facts.level >= RunLevel.PAUSE_ENTRIES:
        return State(kind="notice", text="Purchases are paused.")
    return None


def _signal_state(
    config: InstrumentConfig, facts: _Facts, params: StrategyParams, reading: IndicatorReading | None
) -> State:
    if config.instrument.feed == FeedId.NONE:
        return State(kind="problem", text="ARUN has no prices for it, so it is not bought.")
    if params.mode is Mode.MANAGED:
        return State(kind="waiting", text="Buys nothing: this bot only sells what you hand over.")
    if params.mode is Mode.SIP and not params.sip_dip_days:
        return State(kind="waiting", text="Bought once each period, whatever the RSI.")
    rsi = _rsi(reading)
    if reading is None or rsi is None:
        denial = None if reading is None else reading.denial
        text = "Not judged yet." if denial is None else words.sentence_of(denial.reason, denial.numbers)
        return State(kind="blocked", text=text)
    if rsi > params.buy_rsi:
        return State(kind="waiting", text=f"Waits for RSI {formats.trimmed(params.buy_rsi)}, now {rsi}.")
    judged = facts.judged.get(config.instrument_id, "Judged when the next candle closes.")
    return State(kind="bought", text=f"RSI {rsi} is at or under {formats.trimmed(params.buy_rsi)}. {judged}")


def _rsi(reading: IndicatorReading | None) -> Decimal | None:
    return None if reading is None or reading.rsi is None else rsi_points(reading.rsi).quantize(_POINT)


# --- adding -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundShare:
    """A share that the search found. `hindrance` says why it cannot be added, or is empty."""

    id: UUID
    symbol: str
    name: str
    exchange: str
    hindrance: str


def shares_found(bot: Bot, text: str) -> tuple[FoundShare, ...]:
    """Return the shares of the bot's market that a person may mean, best first."""
    matches = instrument_search(text[:LONGEST_SEARCH], exchanges=[bot.connection.venue], limit=MOST_FOUND)
    found = [match.instrument for match in matches]
    configs = InstrumentConfig.objects.filter(connection_id=bot.connection_id, instrument__in=found)
    watched = dict(configs.values_list("instrument_id", "bot__name"))
    return tuple(
        FoundShare(
            id=row.pk,
            symbol=row.tradingsymbol,
            name=row.name,
            exchange=row.exchange,
            hindrance=f"on the list of {watched[row.pk]}"
            if row.pk in watched
            else ("" if row.is_active else "not traded at the moment"),
        )
        for row in found
    )
