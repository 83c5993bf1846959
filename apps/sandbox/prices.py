"""Where the venue's prices come from: the simulated market's arithmetic, or recordings of a real one."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from apps.engine.simulation import market
from apps.engine.simulation.market import SimulatedInstrument
from apps.engine.simulation.matcher import PriceStep
from apps.sandbox import recorded
from apps.sandbox.models import RecordedShare

_BLOCK_SECONDS = 256
_KEPT_BLOCKS = 1_024  # 4 KiB each
Ticks = NDArray[np.int64]
Priced = SimulatedInstrument | RecordedShare
"""What both have is a tick size and a lot size."""


def seed() -> int:
    """Return the seed of this installation's simulated market."""
    return int(getattr(settings, "SANDBOX_SEED", 20_260_101))


def find_instrument(exchange: str, tradingsymbol: str) -> Priced | None:
    """Return the instrument, or None when the venue has no price for it."""
    if exchange == market.EXCHANGE:
        return market.BY_SYMBOL.get(tradingsymbol)
    return recorded.find(exchange, tradingsymbol)


def price_at(instrument: Priced, at: datetime) -> Decimal | None:
    """Return the last price at a moment, or None where there is none."""
    if isinstance(instrument, RecordedShare):
        return recorded.price_at(instrument, market.unix_second(at))
    return market.simulated_price(seed(), instrument, at)


def steps(instrument: Priced, *, after: int, until: int) -> list[PriceStep]:
    """Return one step for each Unix second with after < second <= until that has a price, oldest first."""
    if isinstance(instrument, RecordedShare):
        return recorded.steps(instrument, after=after, until=until)
    ticks, volumes = _path(instrument, after, until)
    return [
        PriceStep(
            at=datetime.fromtimestamp(after + 1 + offset, tz=UTC), price=tick * instrument.tick_size, volume=volume
        )
        for offset, (tick, volume) in enumerate(zip(ticks.tolist(), volumes.tolist(), strict=True))
    ]


def extremes(instrument: Priced, *, after: int, until: int) -> tuple[Decimal, Decimal] | None:
    """Return the lowest and the highest price of the Unix seconds with after < second <= until, if there are any."""
    if isinstance(instrument, RecordedShare):
        return recorded.extremes(instrument, after=after, until=until)
    ticks, _ = _path(instrument, after, until)
    return int(ticks.min()) * instrument.tick_size, int(ticks.max()) * instrument.tick_size


def _path(instrument: SimulatedInstrument, after: int, until: int) -> tuple[Ticks, Ticks]:
    """Return ticks and volumes of the seconds, put together from blocks that many orders share."""
    first, last = after + 1, max(until, after)
    blocks = [_block(seed(), instrument, index) for index in range(first // _BLOCK_SECONDS, last // _BLOCK_SECONDS + 1)]
    start = first - first // _BLOCK_SECONDS * _BLOCK_SECONDS
    wanted = slice(start, start + last - after)
    return np.concatenate([ticks for ticks, _ in blocks])[wanted], np.concatenate([sold for _, sold in blocks])[wanted]


@lru_cache(maxsize=_KEPT_BLOCKS)
def _block(of_seed: int, instrument: SimulatedInstrument, index: int) -> tuple[Ticks, Ticks]:
    seconds = np.arange(index * _BLOCK_SECONDS, (index + 1) * _BLOCK_SECONDS, dtype=np.int64)
    return market.price_ticks(of_seed, instrument, seconds), market.traded_volume(of_seed, instrument, seconds)
