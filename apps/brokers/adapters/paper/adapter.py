"""The paper venue behind the port: its reads, its market data and its session."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from apps.brokers.adapters.paper import parse
from apps.brokers.adapters.paper.capabilities import paper_capabilities
from apps.brokers.adapters.paper.client import PaperClient
from apps.brokers.adapters.paper.signing import VenueAccess
from apps.brokers.errors import BrokerRequestInvalidError
from apps.brokers.port import (
    BrokerInstrument,
    Candle,
    Capabilities,
    ConnectionFacts,
    Funds,
    Holding,
    InstrumentRef,
    JsonObject,
    OrderBook,
    Position,
    Quote,
    SessionStatus,
    TradeBook,
)
from apps.common import clock
from apps.engine.model.choices import Timeframe

QUOTES_PER_REQUEST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedMarketReads:
    """Instruments, candles and quotes of the simulated exchange; no account is needed."""

    client: PaperClient

    @classmethod
    def from_settings(cls) -> "SimulatedMarketReads":
        return cls.at(VenueAccess.from_settings())

    @classmethod
    def at(cls, access: VenueAccess) -> "SimulatedMarketReads":
        return cls(client=PaperClient(access=access, account="", headers=access.market_headers()))

    def instruments(self) -> tuple[BrokerInstrument, ...]:
        return parse.parse_instruments(self.client.read("/market/instruments"))

    def candles(
        self, instrument: InstrumentRef, timeframe: Timeframe, *, since: datetime, until: datetime
    ) -> tuple[Candle, ...]:
        query = {
            "exchange": instrument.exchange,
            "tradingsymbol": instrument.tradingsymbol,
            "timeframe": timeframe.value,
            "since": since.isoformat(),
            "until": until.isoformat(),
        }
        return parse.parse_candles(self.client.read(f"/market/candles?{urlencode(query)}"), instrument)

    def quotes(self, instruments: Sequence[InstrumentRef]) -> tuple[Quote, ...]:
        if not instruments:
            return ()
        if len(instruments) > QUOTES_PER_REQUEST:
            raise BrokerRequestInvalidError(
                f"expected at most {QUOTES_PER_REQUEST} instruments in one request, got {len(instruments)}"
            )
        query = urlencode([("i", f"{ref.exchange}:{ref.tradingsymbol}") for ref in instruments])
        return parse.parse_quotes(self.client.read(f"/market/quotes?{query}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperReads:
    """The read half of one paper account."""

    facts: ConnectionFacts
    client: PaperClient
    market: SimulatedMarketReads

    @classmethod
    def from_settings(cls, facts: ConnectionFacts) -> "PaperReads":
        return cls.at(VenueAccess.from_settings(), facts)

    @classmethod
    def at(cls, access: VenueAccess, facts: ConnectionFacts) -> "PaperReads":
        return cls(facts=facts, client=account_client(access, facts), market=SimulatedMarketReads.at(access))

    def capabilities(self) -> Capabilities:
        return paper_capabilities(self.facts.venue)

    def session_status(self) -> SessionStatus:
        return parse.parse_session(self._read("session"))

    def funds(self) -> Funds:
        return parse.parse_funds(self._read("funds"))

    def positions(self) -> tuple[Position, ...]:
        return parse.parse_positions(self._read("positions"))

    def holdings(self) -> tuple[Holding, ...]:
        return parse.parse_holdings(self._read("holdings"))

    def orders(self) -> OrderBook:
        started_at = clock.now()
        rows, complete = parse.parse_orders(self._read("orders"))
        return OrderBook(rows=rows, complete=complete, read_started_at=started_at, read_finished_at=clock.now())

    def trades(self) -> TradeBook:
        started_at = clock.now()
        rows, complete = parse.parse_trades(self._read("trades"))
        return TradeBook(rows=rows, complete=complete, read_started_at=started_at, read_finished_at=clock.now())

    def instruments(self) -> tuple[BrokerInstrument, ...]:
        return self.market.instruments()

    def candles(
        self, instrument: InstrumentRef, timeframe: Timeframe, *, since: datetime, until: datetime
    ) -> tuple[Candle, ...]:
        return self.market.candles(instrument, timeframe, since=since, until=until)

    def quotes(self, instruments: Sequence[InstrumentRef]) -> tuple[Quote, ...]:
        return self.market.quotes(instruments)

    def _read(self, what: str) -> JsonObject:
        return self.client.read(VenueAccess.account_path(self.facts, what))


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperSession:
    """The session of one paper account. Logging in or out twice is the same as once, so both may be repeated."""

    facts: ConnectionFacts
    client: PaperClient

    @classmethod
    def from_settings(cls, facts: ConnectionFacts) -> "PaperSession":
        return cls.at(VenueAccess.from_settings(), facts)

    @classmethod
    def at(cls, access: VenueAccess, facts: ConnectionFacts) -> "PaperSession":
        return cls(facts=facts, client=account_client(access, facts))

    def status(self) -> SessionStatus:
        return self._session("session", "GET")

    def login(self) -> SessionStatus:
        return self._session("session", "POST")

    def logout(self) -> SessionStatus:
        return self._session("logout", "POST")

    def _session(self, what: str, method: str) -> SessionStatus:
        return parse.parse_session(self.client.read(VenueAccess.account_path(self.facts, what), method=method))


def account_client(access: VenueAccess, facts: ConnectionFacts) -> PaperClient:
    """Return a client that speaks for this account."""
    return PaperClient(access=access, account=facts.account_ref, headers=access.account_headers(facts))
