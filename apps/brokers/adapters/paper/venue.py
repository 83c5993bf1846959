"""What the platform sets up at the paper venue itself, on behalf of nobody's account."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import quote

from apps.brokers.adapters.paper.client import PaperClient
from apps.brokers.adapters.paper.signing import VenueAccess
from apps.brokers.port import InstrumentRef
from apps.common.ids import uuid7

BARS_PER_REQUEST = 600
"""The venue reads bodies of at most 64 KiB; a bar takes some 80 bytes."""

RecordedRow = Sequence[str | int]
"""Unix seconds of the start and the end, open, high, low and close as text, volume."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperVenue:
    """Sends recordings. Each may be repeated: a part that is there already is not added again."""

    client: PaperClient

    @classmethod
    def from_settings(cls) -> "PaperVenue":
        access = VenueAccess.from_settings()
        return cls(client=PaperClient(access=access, account="", headers=access.admin_headers()))

    def recording_put(
        self, instrument: InstrumentRef, *, tick_size: Decimal, lot_size: int, bars: Sequence[RecordedRow]
    ) -> None:
        """Replace the recorded prices of an instrument, in parts; the last one puts them in force. Raises BrokerError.

        Without bars the instrument has no prices from now on.
        """
        version = str(uuid7())
        target = f"/admin/recordings/{instrument.exchange}/{quote(instrument.tradingsymbol, safe='')}"
        starts = range(0, max(len(bars), 1), BARS_PER_REQUEST)
        for start in starts:
            body = {
                "tick_size": str(tick_size),
                "lot_size": lot_size,
                "version": version,
                "bars": [list(row) for row in bars[start : start + BARS_PER_REQUEST]],
                "is_last": start == starts[-1],
            }
            self.client.read(target, method="PUT", body=json.dumps(body).encode())
