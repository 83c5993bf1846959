"""Recorded prices, played again: what happened on a recorded date happens on the trading date it is played on.

Each recorded bar is as coarse as its file. Within a bar nobody knows when its high and low were, so the price stands at
the bar's open until the bar ends, and at its close from then on. In a hole of the recording the price grows old, and
the engine refuses to act on it.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from apps.brokers.port import Candle, InstrumentRef, Quote, QuoteQuality
from apps.common import clock
from apps.engine.indicators.bars import aggregated
from apps.engine.model.candle import Candle as Bar
from apps.engine.model.choices import Timeframe
from apps.market.calendar import INDIA, sessions_between
from apps.market.choices import StampRule
from apps.market.feeds.port import CandleRequest
from apps.market.models import Instrument, RecordedBar, Recording


class ReplayFeed:
    """Reads the active recordings from the database, never further than now."""

    stamps = StampRule.BAR_START

    def candles(
        self, requests: Sequence[CandleRequest], timeframe: Timeframe
    ) -> Mapping[InstrumentRef, tuple[Candle, ...]]:
        active = _active([request.instrument for request in requests])
        found = {}
        for request in requests:
            recording = active.get(request.instrument)
            # A recording of quarters of an hour has no minutes in it.
            if recording is not None and Timeframe(recording.timeframe).seconds <= timeframe.seconds:
                found[request.instrument] = _candles(recording, request, timeframe)
        return found

    def quotes(self, instruments: Sequence[InstrumentRef]) -> tuple[Quote, ...]:
        found = (_quote(ref, recording) for ref, recording in _active(instruments).items())
        return tuple(quote for quote in found if quote is not None)


def _active(refs: Sequence[InstrumentRef]) -> dict[InstrumentRef, Recording]:
    rows = Recording.objects.filter(
        is_active=True, instrument__tradingsymbol__in={ref.tradingsymbol for ref in refs}
    ).select_related("instrument")
    wanted = set(refs)
    by_ref = {InstrumentRef(row.instrument.exchange, row.instrument.tradingsymbol): row for row in rows}
    return {ref: row for ref, row in by_ref.items() if ref in wanted}


def _candles(recording: Recording, request: CandleRequest, timeframe: Timeframe) -> tuple[Candle, ...]:
    """Return the bars that have closed, made into the timeframe on the grid of the sessions they are played in."""
    instrument: Instrument = recording.instrument
    # A day's candle starts at the open, and may be asked for from later in the day on.
    since = request.since - timedelta(days=1) if timeframe is Timeframe.D1 else request.since
    until = min(request.until, clock.now())
    rows = RecordedBar.objects.filter(recording=recording, opened_at__gte=since, closed_at__lte=until)
    bars = [
        Bar(opened_at=row.opened_at, open=row.open, high=row.high, low=row.low, close=row.close, volume=row.volume)
        for row in rows.order_by("opened_at")
    ]
    sessions = sessions_between(
        instrument.exchange,
        since,
        until + timedelta(days=1),
        instrument.session_class,
        whole_days=timeframe is Timeframe.D1,
    )
    return tuple(
        Candle(
            instrument=request.instrument,
            opened_at=bar.opened_at,
            open=bar.open,
            high=bar.high,
            low=bar.low,
            close=bar.close,
            volume=bar.volume or 0,
            is_complete=True,
        )
        for bar in aggregated(bars, timeframe, sessions or ())
        if request.since <= bar.opened_at < request.until
    )


def _quote(ref: InstrumentRef, recording: Recording) -> Quote | None:
    now = clock.now()
    newest = RecordedBar.objects.filter(recording=recording, opened_at__lte=now).order_by("-opened_at").first()
    if newest is None:
        return None
    is_open = now < newest.closed_at
    midnight = newest.opened_at.astimezone(INDIA).replace(hour=0, minute=0)
    before = RecordedBar.objects.filter(recording=recording, opened_at__lt=midnight).order_by("-opened_at").first()
    return Quote(
        instrument=ref,
        last_price=newest.open if is_open else newest.close,
        bid=None,
        ask=None,
        previous_close=None if before is None else before.close,
        at=now if is_open else newest.closed_at,
        quality=QuoteQuality.DELAYED,
    )
