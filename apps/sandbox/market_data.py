"""Instruments, candles and quotes of the simulated exchange over HTTP."""

from datetime import UTC, datetime, timedelta

from apps.common import clock
from apps.engine.model.choices import Timeframe
from apps.engine.simulation import market
from apps.engine.simulation.market import SIMULATED_INSTRUMENTS, SimulatedInstrument
from apps.sandbox import prices
from apps.sandbox.errors import STATUS_NOT_FOUND, RefusalError, bad_field
from apps.sandbox.matching import INDIA
from apps.sandbox.messages import Decision, Request, ok

MAX_QUOTES = 500
Row = dict[str, object]


def answer_market(request: Request, parts: list[str]) -> Decision:
    """Answer a request below /market."""
    match parts:
        case ["instruments"]:
            return ok("", {"instruments": [_instrument_row(item) for item in SIMULATED_INSTRUMENTS]})
        case ["candles"]:
            return ok("", {"candles": _candle_rows(request)})
        case ["quotes"]:
            return ok("", {"quotes": _quote_rows(request.query.get("i", []))})
        case _:
            raise RefusalError("unknown_path", request.path, status=STATUS_NOT_FOUND)


def _instrument_row(instrument: SimulatedInstrument) -> Row:
    return {
        "exchange": market.EXCHANGE,
        "tradingsymbol": instrument.tradingsymbol,
        "name": instrument.name,
        "token": f"{market.EXCHANGE}:{instrument.tradingsymbol}",
        "tick_size": str(instrument.tick_size),
        "lot_size": instrument.lot_size,
    }


def _candle_rows(request: Request) -> list[Row]:
    """Return the completed candles with since <= opened_at < until."""
    instrument = prices.find_instrument(request.one("exchange"), request.one("tradingsymbol"))
    # Candles of recordings are the platform's: it knows the sessions that they are cut by.
    if not isinstance(instrument, SimulatedInstrument):
        raise RefusalError("unknown_instrument", request.one("tradingsymbol"), status=STATUS_NOT_FOUND)
    timeframe = _timeframe(request.one("timeframe"))
    length = timeframe.seconds
    first = -(-market.unix_second(_moment(request, "since")) // length)
    end = -(-market.unix_second(_moment(request, "until")) // length)
    complete = market.candle_index(timeframe, clock.now())
    count = max(min(end, complete) - first, 0)
    if count * length > market.MAX_SECONDS_PER_REQUEST:
        raise bad_field("since", f"at most {market.MAX_SECONDS_PER_REQUEST // length} candles of {timeframe}", count)
    candles = market.simulated_candles(prices.seed(), instrument, timeframe, first_index=first, count=count)
    return [
        {
            "opened_at": candle.opened_at.isoformat(),
            "open": str(candle.open),
            "high": str(candle.high),
            "low": str(candle.low),
            "close": str(candle.close),
            "volume": candle.volume,
        }
        for candle in candles
    ]


def _quote_rows(names: list[str]) -> list[Row]:
    if len(names) > MAX_QUOTES:
        raise bad_field("i", f"at most {MAX_QUOTES} instruments", len(names))
    at = clock.now()
    midnight = at.astimezone(INDIA).replace(hour=0, minute=0, second=0, microsecond=0)
    yesterday = (midnight - timedelta(seconds=1)).astimezone(UTC)
    rows: list[Row] = []
    for name in names:
        exchange, _, tradingsymbol = name.partition(":")
        instrument = prices.find_instrument(exchange, tradingsymbol)
        if not isinstance(instrument, SimulatedInstrument):
            continue
        last, bid, ask = market.simulated_quote(prices.seed(), instrument, at)
        rows.append(
            {
                "exchange": exchange,
                "tradingsymbol": tradingsymbol,
                "last_price": str(last),
                "bid": str(bid),
                "ask": str(ask),
                "previous_close": str(market.simulated_price(prices.seed(), instrument, yesterday)),
                "at": at.isoformat(),
                "quality": "REALTIME",
            }
        )
    return rows


def _timeframe(word: str) -> Timeframe:
    for timeframe in Timeframe:
        if timeframe.value == word:
            return timeframe
    raise bad_field("timeframe", " or ".join(item.value for item in Timeframe), word)


def _moment(request: Request, field: str) -> datetime:
    raw = request.one(field)
    try:
        moment = datetime.fromisoformat(raw)
    except ValueError as error:
        raise bad_field(field, "an ISO 8601 moment with its offset", raw) from error
    if moment.tzinfo is None:
        raise bad_field(field, "an ISO 8601 moment with its offset", raw)
    return moment
