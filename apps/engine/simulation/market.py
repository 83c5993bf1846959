"""A market made of arithmetic: the price of a simulated instrument is a pure function of seed, instrument and second.

Nothing is remembered, so a restart leaves no gap and two processes agree to the tick. Only integer hashes and the
four basic operations are used, which IEEE 754 rounds alike on every machine; a library sine would not promise that.

The price swings around a fixed level. Its main cycle lasts minutes, and the cycles of the instruments are spread
evenly, so that at any moment some instrument is near its low and another near its high. That makes a demonstration
lively; it also makes buying low and selling high easier than any real market does, and says nothing about one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from apps.engine.model.choices import Timeframe

EXCHANGE = "SIM"
MAX_SECONDS_PER_REQUEST = 12_000_000
"""Prices computed for one request of candles: 138 days, about two seconds of one core."""

_MASK = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_CHUNK_SECONDS = 1_000_000
_SPREAD_TICKS = 1

Seconds = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedInstrument:
    """What the price function needs to know; `phase_turns` places the instrument's cycle among the others."""

    tradingsymbol: str
    name: str
    base_price: Decimal
    tick_size: Decimal
    lot_size: int
    cycle_seconds: int
    phase_turns: float
    volume_per_second: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedCandle:
    """One bar; prices are multiples of the instrument's tick size, `volume` is in shares."""

    opened_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int


def _instrument(
    symbol: str, name: str, base_price: str, cycle_seconds: int, phase_turns: float, volume_per_second: int
) -> SimulatedInstrument:
    return SimulatedInstrument(
        tradingsymbol=symbol,
        name=name,
        base_price=Decimal(base_price),
        tick_size=Decimal("0.05"),
        lot_size=1,
        cycle_seconds=cycle_seconds,
        phase_turns=phase_turns,
        volume_per_second=volume_per_second,
    )


# Two families of four: within a family the phases are a quarter turn apart.
SIMULATED_INSTRUMENTS: tuple[SimulatedInstrument, ...] = (
    _instrument("SIMALPHA", "Simulated Alpha", "62.50", 600, 0.000, 9000),
    _instrument("SIMBETA", "Simulated Beta", "148.00", 480, 0.125, 4200),
    _instrument("SIMGAMMA", "Simulated Gamma", "315.00", 600, 0.250, 2000),
    _instrument("SIMDELTA", "Simulated Delta", "486.00", 480, 0.375, 1400),
    _instrument("SIMEPSILON", "Simulated Epsilon", "755.00", 600, 0.500, 900),
    _instrument("SIMZETA", "Simulated Zeta", "1240.00", 480, 0.625, 600),
    _instrument("SIMETA", "Simulated Eta", "1985.00", 600, 0.750, 400),
    _instrument("SIMTHETA", "Simulated Theta", "2930.00", 480, 0.875, 300),
)
BY_SYMBOL = {instrument.tradingsymbol: instrument for instrument in SIMULATED_INSTRUMENTS}

# Shares of the base price.
_CYCLE_AMPLITUDE = 0.006
_PHASE_WOBBLE_TURNS = 0.04
_NOISE = ((1 << 19, 0.030), (7_200, 0.012), (1_500, 0.0055), (240, 0.004), (11, 0.0004), (1, 0.00015))
"""(length in seconds, amplitude): from a week down to four minutes, and the jitter of single trades."""


def _hash(key: int, index: Seconds) -> NDArray[np.uint64]:
    """Return 64 well-mixed bits for each index (the finalizer of splitmix64)."""
    mixed = index.astype(np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15) + np.uint64(key & 0xFFFF_FFFF_FFFF_FFFF)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
    return (mixed ^ (mixed >> np.uint64(31))) & _MASK


def _unit(key: int, index: Seconds) -> Floats:
    """Return a number in [0, 1) for each index."""
    return (_hash(key, index) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _key(seed: int, symbol: str, stream: int) -> int:
    """Return the hash key of one stream of numbers (FNV-1a over the symbol, so that no process salts it)."""
    value = 0xCBF2_9CE4_8422_2325
    for byte in f"{seed}:{symbol}:{stream}".encode():
        value = ((value ^ byte) * 0x0000_0100_0000_01B3) & 0xFFFF_FFFF_FFFF_FFFF
    return value


def _noise(key: int, seconds: Seconds, length: int) -> Floats:
    """Return smooth noise in [-1, 1]: random values every `length` seconds, joined by a smoothstep."""
    index = seconds // length
    part = (seconds - index * length).astype(np.float64) / length
    weight = part * part * (3.0 - 2.0 * part)
    left = _unit(key, index) * 2.0 - 1.0
    right = _unit(key, index + 1) * 2.0 - 1.0
    return left + (right - left) * weight


def _wave(turns: Floats) -> Floats:
    """Return a wave of period 1 and height 1 that is close to a sine: two parabolas."""
    part = turns - np.floor(turns)
    half = part * 2.0
    first_half = half < 1.0
    half = np.where(first_half, half, half - 1.0)
    arch = 4.0 * half * (1.0 - half)
    return np.where(first_half, arch, -arch)


def price_ticks(seed: int, instrument: SimulatedInstrument, seconds: Seconds) -> Seconds:
    """Return the price, in ticks, at each Unix second."""
    symbol = instrument.tradingsymbol
    wobble = _noise(_key(seed, symbol, 100), seconds, 3 * instrument.cycle_seconds) * _PHASE_WOBBLE_TURNS
    start = float(_unit(_key(seed, "", instrument.cycle_seconds), np.zeros(1, dtype=np.int64))[0])
    turns = (seconds % instrument.cycle_seconds).astype(np.float64) / instrument.cycle_seconds
    swing = 1.0 + 0.2 * _noise(_key(seed, symbol, 101), seconds, 5 * instrument.cycle_seconds)
    level = _wave(turns + start + instrument.phase_turns + wobble) * swing * _CYCLE_AMPLITUDE
    for stream, (length, amplitude) in enumerate(_NOISE):
        level = level + _noise(_key(seed, symbol, stream), seconds, length) * amplitude
    base_ticks = float(instrument.base_price / instrument.tick_size)
    return np.maximum(np.rint(base_ticks * (1.0 + level)), 1.0).astype(np.int64)


def traded_volume(seed: int, instrument: SimulatedInstrument, seconds: Seconds) -> Seconds:
    """Return the shares traded in each Unix second; at least one."""
    draw = _unit(_key(seed, instrument.tradingsymbol, 200), seconds)
    mood = 1.0 + 0.6 * _noise(_key(seed, instrument.tradingsymbol, 201), seconds, 420)
    return np.maximum(np.rint(draw * draw * 3.0 * mood * instrument.volume_per_second), 1.0).astype(np.int64)


def unix_second(at: datetime) -> int:
    """Return the Unix second that contains the moment. Raises ValueError for a naive datetime."""
    if at.tzinfo is None:
        raise ValueError(f"expected an aware datetime, got {at!r}")
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)


def candle_index(timeframe: Timeframe, at: datetime) -> int:
    """Return the index of the candle that contains the moment: whole candle lengths since 1970 (UTC)."""
    return unix_second(at) // timeframe.seconds


def _from_second(second: int) -> datetime:
    return datetime.fromtimestamp(second, tz=UTC)


def simulated_price(seed: int, instrument: SimulatedInstrument, at: datetime) -> Decimal:
    """Return the last price at the moment, in rupees."""
    ticks = price_ticks(seed, instrument, np.array([unix_second(at)], dtype=np.int64))
    return int(ticks[0]) * instrument.tick_size


def simulated_quote(seed: int, instrument: SimulatedInstrument, at: datetime) -> tuple[Decimal, Decimal, Decimal]:
    """Return last price, bid and ask at the moment: bid <= last <= ask."""
    last = simulated_price(seed, instrument, at)
    step = _SPREAD_TICKS * instrument.tick_size
    return last, max(last - step, instrument.tick_size), last + step


def simulated_candles(
    seed: int, instrument: SimulatedInstrument, timeframe: Timeframe, *, first_index: int, count: int
) -> tuple[SimulatedCandle, ...]:
    """Return `count` consecutive candles, oldest first.

    A candle covers its seconds [index * length, (index + 1) * length): the open is the price of the first of them,
    the close that of the last, and candles of any length are made of the same seconds.
    Raises ValueError when more than MAX_SECONDS_PER_REQUEST seconds would be computed.
    """
    length = timeframe.seconds
    if count < 0 or count * length > MAX_SECONDS_PER_REQUEST:
        raise ValueError(f"expected 0 to {MAX_SECONDS_PER_REQUEST // length} candles of {timeframe}, got {count}")
    candles: list[SimulatedCandle] = []
    per_chunk = max(1, _CHUNK_SECONDS // length)
    for start in range(first_index, first_index + count, per_chunk):
        rows = min(per_chunk, first_index + count - start)
        candles.extend(_candles(seed, instrument, length, start, rows))
    return tuple(candles)


def _candles(
    seed: int, instrument: SimulatedInstrument, length: int, first_index: int, count: int
) -> Sequence[SimulatedCandle]:
    seconds = np.arange(first_index * length, (first_index + count) * length, dtype=np.int64)
    ticks = price_ticks(seed, instrument, seconds).reshape(count, length)
    volumes = traded_volume(seed, instrument, seconds).reshape(count, length).sum(axis=1)
    tick = instrument.tick_size
    rows = zip(
        ticks[:, 0].tolist(),
        ticks.max(axis=1).tolist(),
        ticks.min(axis=1).tolist(),
        ticks[:, -1].tolist(),
        volumes.tolist(),
        strict=True,
    )
    return [
        SimulatedCandle(
            opened_at=_from_second((first_index + offset) * length),
            open=first * tick,
            high=highest * tick,
            low=lowest * tick,
            close=last * tick,
            volume=volume,
        )
        for offset, (first, highest, lowest, last, volume) in enumerate(rows)
    ]


def simulated_candle(seed: int, instrument: SimulatedInstrument, timeframe: Timeframe, index: int) -> SimulatedCandle:
    """Return the candle with this index."""
    return simulated_candles(seed, instrument, timeframe, first_index=index, count=1)[0]
