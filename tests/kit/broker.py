"""A broker in memory, behind the same ports as a real one. It keeps its own log, which is the ground truth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from apps.brokers.adapters.paper.capabilities import paper_capabilities
from apps.brokers.errors import BrokerUnavailableError, HandOverUncertainError, NotSentError
from apps.brokers.port import (
    BrokerOrder,
    Capabilities,
    ConnectionFacts,
    Fill,
    Funds,
    Holding,
    InstrumentRef,
    OrderBook,
    Position,
    Quote,
    SessionStatus,
    TradeBook,
)
from apps.brokers.writes import (
    Accepted,
    CancelRequest,
    ModifyRequest,
    NotSent,
    OutcomeUnknown,
    PlaceRequest,
    Refused,
    WriteRequest,
    WriteResult,
)
from apps.common import clock
from apps.engine.model.choices import Observation, OrderType, Product, Side, Validity
from apps.trading.gateway.execute import Broker

TRIGGER_TYPES = frozenset({OrderType.SL, OrderType.SL_M})
WORKING = frozenset({Observation.OPEN, Observation.TRIGGER_PENDING, Observation.PARTIALLY_FILLED})


class Weather(StrEnum):
    """What happens to the next write."""

    FINE = "fine"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    REQUEST_LOST = "request lost"
    REPLY_LOST = "reply lost"
    TORN = "torn while handing over"
    RATE_LIMITED = "rate limited"


@dataclass(slots=True)
class FakeBroker:
    """One account. `on_open` and `on_hand_over` run a rival at that very moment."""

    price: Decimal = Decimal(100)
    fills_at_once: bool = True
    weather: Weather = Weather.FINE
    book_complete: bool = True
    book_fails: bool = False
    shows_tags: bool = True
    cash: Decimal = Decimal(100_000)
    log: list[WriteRequest] = field(default_factory=list)
    orders_now: dict[str, BrokerOrder] = field(default_factory=dict)
    trades_now: list[Fill] = field(default_factory=list)
    past_trades: list[Fill] = field(default_factory=list)
    known: set[InstrumentRef] = field(default_factory=set)
    orders_made: int = 0
    on_open: Callable[[], None] | None = None
    on_hand_over: Callable[[], None] | None = None
    extra_shares: int = 0
    """Shares the customer holds besides what the bot bought."""
    logged_in: bool = True
    stop_becomes_sale: bool = True

    def broker(self, facts: ConnectionFacts) -> Broker:
        capabilities = replace(paper_capabilities(facts.venue), stop_becomes_sale=self.stop_becomes_sale)
        return Broker(reads=FakeReads(self), writes=FakeWrites(self), capabilities=capabilities)

    def reads(self, facts: ConnectionFacts) -> "FakeReads":
        return FakeReads(self)

    @property
    def placed(self) -> list[PlaceRequest]:
        """Every order request that reached the broker."""
        return [request for request in self.log if isinstance(request, PlaceRequest)]

    def fill(self, broker_order_id: str, quantity: int, *, price: Decimal | None = None) -> None:
        order = self.orders_now[broker_order_id]
        at = price or self.price
        self.trades_now.append(
            Fill(
                trade_id=f"T{len(self.trades_now) + 1}",
                broker_order_id=broker_order_id,
                instrument=order.instrument,
                side=order.side,
                product=order.product,
                quantity=quantity,
                price=at,
                at=clock.now(),
                charges=Decimal("1.00"),
            )
        )
        filled = order.filled_quantity + quantity
        self.orders_now[broker_order_id] = replace(
            order,
            filled_quantity=filled,
            average_price=at,
            observation=Observation.FILLED if filled == order.quantity else Observation.PARTIALLY_FILLED,
        )
        self.cash += (1 if order.side is Side.SELL else -1) * quantity * at

    def end(self, broker_order_id: str, observation: Observation, reason: str = "") -> None:
        order = self.orders_now[broker_order_id]
        self.orders_now[broker_order_id] = replace(order, observation=observation, reject_reason=reason)

    def oversells(self, request: PlaceRequest) -> bool:
        """Whether a sale asks for more than what is held and in no other working sale."""
        if request.side is Side.BUY:
            return False
        working = [
            order
            for order in self.orders_now.values()
            if order.side is Side.SELL and order.instrument == request.instrument and order.observation in WORKING
        ]
        return request.quantity > self.held(request.instrument) - sum(order.pending_quantity for order in working)

    def trigger(self, broker_order_id: str, *, price: Decimal) -> None:
        """Let the price reach a resting stop order, which sells all of it."""
        self.fill(broker_order_id, self.orders_now[broker_order_id].pending_quantity, price=price)

    def forget_day(self) -> None:
        """Begin a new day: the books are empty, the shares are still there."""
        self.past_trades.extend(self.trades_now)
        self.trades_now.clear()
        self.known.update({order.instrument for order in self.orders_now.values()})
        self.orders_now.clear()

    def modify(self, request: ModifyRequest) -> WriteResult:
        order = self.orders_now[request.broker_order_id]
        if order.observation not in WORKING:
            return Refused(code="FINAL", text=f"the order is {order.observation}", raw="{}")
        order_type = request.order_type or order.order_type
        waits = order_type in TRIGGER_TYPES
        self.orders_now[request.broker_order_id] = replace(
            order,
            order_type=order_type,
            trigger_price=(request.trigger_price or order.trigger_price) if waits else None,
            limit_price=request.limit_price or order.limit_price,
            observation=Observation.TRIGGER_PENDING if waits else Observation.OPEN,
        )
        if not waits and self.fills_at_once:
            self.fill(request.broker_order_id, order.pending_quantity)
        return Accepted(broker_order_id=request.broker_order_id, raw="{}")

    def accept(self, request: PlaceRequest) -> str:
        self.orders_made += 1
        broker_order_id = f"B{self.orders_made}"
        waits = request.order_type in TRIGGER_TYPES
        now = clock.now()
        self.orders_now[broker_order_id] = BrokerOrder(
            broker_order_id=broker_order_id,
            client_order_ids=(request.client_order_id,),
            exchange_order_id=None,
            observation=Observation.TRIGGER_PENDING if waits else Observation.OPEN,
            raw_status="TRIGGER PENDING" if waits else "OPEN",
            instrument=request.instrument,
            side=request.side,
            order_type=OrderType(request.order_type),
            product=Product(request.product),
            validity=Validity(request.validity),
            quantity=request.quantity,
            filled_quantity=0,
            average_price=None,
            limit_price=request.limit_price,
            trigger_price=request.trigger_price,
            placed_at=now,
            updated_at=now,
            reject_reason="",
            raw={},
        )
        if self.fills_at_once and not waits:
            self.fill(broker_order_id, request.quantity)
        return broker_order_id

    def held(self, instrument: InstrumentRef) -> int:
        return self.extra_shares + sum(
            trade.quantity * (1 if trade.side is Side.BUY else -1)
            for trade in [*self.past_trades, *self.trades_now]
            if trade.instrument == instrument
        )


@dataclass(slots=True)
class FakeReads:
    account: FakeBroker

    def _check(self) -> None:
        if self.account.book_fails:
            raise BrokerUnavailableError("the broker answers nothing")

    def capabilities(self) -> Capabilities:
        return paper_capabilities("SIM")

    def session_status(self) -> SessionStatus:
        return SessionStatus.ALIVE

    def funds(self) -> Funds:
        self._check()
        return Funds(deployable=self.account.cash, cash=self.account.cash, used=Decimal(0), currency="INR", raw={})

    def positions(self) -> tuple[Position, ...]:
        self._check()
        return ()

    def holdings(self) -> tuple[Holding, ...]:
        self._check()
        instruments = self.account.known | {order.instrument for order in self.account.orders_now.values()}
        return tuple(
            Holding(
                instrument=instrument,
                isin="",
                settled=self.account.held(instrument),
                unsettled_t1=0,
                used_today=0,
                pledged=0,
                average_price=None,
            )
            for instrument in instruments
        )

    def orders(self) -> OrderBook:
        self._check()
        now = clock.now()
        rows = tuple(self.account.orders_now.values())
        if not self.account.shows_tags:
            rows = tuple(replace(row, client_order_ids=()) for row in rows)
        return OrderBook(rows=rows, complete=self.account.book_complete, read_started_at=now, read_finished_at=now)

    def trades(self) -> TradeBook:
        self._check()
        now = clock.now()
        return TradeBook(
            rows=tuple(self.account.trades_now),
            complete=self.account.book_complete,
            read_started_at=now,
            read_finished_at=now,
        )

    def instruments(self) -> tuple[()]:
        return ()

    def candles(self, *_args: object, **_kwargs: object) -> tuple[()]:
        return ()

    def quotes(self, instruments: Sequence[InstrumentRef]) -> tuple[Quote, ...]:
        return ()


@dataclass(slots=True)
class FakeWrites:
    account: FakeBroker

    def channel(self) -> "FakeChannel":
        return FakeChannel(self.account)


@dataclass(slots=True)
class FakeChannel:
    account: FakeBroker
    request: WriteRequest | None = None

    def open(self) -> None:
        if self.account.on_open is not None:
            self.account.on_open()
        if self.account.weather is Weather.UNREACHABLE:
            raise NotSentError("connection refused")

    def hand_over(self, request: WriteRequest) -> None:
        if self.account.on_hand_over is not None:
            self.account.on_hand_over()
        if self.account.weather is Weather.TORN:
            self.account.log.append(request)
            raise HandOverUncertainError("the connection broke after 12 bytes")
        self.request = request
        if self.account.weather is not Weather.REQUEST_LOST:
            self.account.log.append(request)

    def answer(self, *, deadline_seconds: float) -> WriteResult:  # noqa: PLR0911 - one line per weather
        match self.account.weather, self.request:
            case Weather.REFUSED, _:
                return Refused(code="FUNDS", text="not enough money", raw="{}")
            case Weather.RATE_LIMITED, _:
                return NotSent(code="rate_limited", text="too many requests")
            case Weather.REQUEST_LOST, _:
                return OutcomeUnknown(evidence="no answer in time")
            case _, PlaceRequest() as request if self.account.oversells(request):
                return Refused(code="HOLDINGS", text="not enough shares", raw="{}")
            case weather, PlaceRequest() as request:
                broker_order_id = self.account.accept(request)
                if weather is Weather.REPLY_LOST:
                    return OutcomeUnknown(evidence="no answer in time")
                return Accepted(broker_order_id=broker_order_id, raw="{}")
            case _, CancelRequest(broker_order_id=broker_order_id):
                order = self.account.orders_now[broker_order_id]
                if order.observation not in WORKING:
                    return Refused(code="FINAL", text=f"the order is {order.observation}", raw="{}")
                self.account.end(broker_order_id, Observation.CANCELLED)
                return Accepted(broker_order_id=broker_order_id, raw="{}")
            case weather, ModifyRequest() as request:
                result = self.account.modify(request)
                return OutcomeUnknown(evidence="no answer in time") if weather is Weather.REPLY_LOST else result
        raise AssertionError("answer before hand_over")

    def close(self) -> None:
        return None
