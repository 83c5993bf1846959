"""Where the venue's prices come from. Only the simulated exchange has any here."""

from datetime import UTC, datetime

import numpy as np
from django.conf import settings

from apps.engine.simulation import market
from apps.engine.simulation.market import SimulatedInstrument
from apps.engine.simulation.matcher import PriceStep


def seed() -> int:
    """Return the seed of this installation's simulated market."""
    return int(getattr(settings, "SANDBOX_SEED", 20_260_101))


def find_instrument(exchange: str, tradingsymbol: str) -> SimulatedInstrument | None:
    """Return the instrument, or None when the venue has no price for it."""
    return market.BY_SYMBOL.get(tradingsymbol) if exchange == market.EXCHANGE else None


def steps(instrument: SimulatedInstrument, *, after: int, until: int) -> list[PriceStep]:
    """Return one step for each Unix second with after < second <= until, oldest first."""
    if until <= after:
        return []
    seconds = np.arange(after + 1, until + 1, dtype=np.int64)
    ticks = market.price_ticks(seed(), instrument, seconds).tolist()
    volumes = market.traded_volume(seed(), instrument, seconds).tolist()
    return [
        PriceStep(
            at=datetime.fromtimestamp(after + 1 + offset, tz=UTC), price=tick * instrument.tick_size, volume=volume
        )
        for offset, (tick, volume) in enumerate(zip(ticks, volumes, strict=True))
    ]
