"""Shares that came or went outside ARUN: what the customer can say about them, and what it never does."""

from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.brokers.models import BrokerConnection
from apps.brokers.port import ConnectionFacts, Holding, InstrumentRef
from apps.common.db import tenant_scope
from apps.common.errors import InvalidInputError
from apps.common.models import AuditEntry
from apps.engine.model.choices import Side
from apps.trading.errors import BooksMovedError, PositionRefusedError
from apps.trading.gateway.execute import order_execute
from apps.trading.models import EntryFreeze, InstrumentConfig, OutsideTrade, Position, PriceLevel
from apps.trading.reconciler import connection_reconcile
from apps.trading.selectors import ShareDifference, share_differences
from apps.trading.services.outside import Shown, outside_settle
from apps.trading.services.positions import position_close
from tests.kit.broker import FakeBroker, FakeReads
from tests.kit.factories.trading import TradingTenant, make_entry, make_trading_tenant

Kind = OutsideTrade.Kind
SHARE = InstrumentRef("SIM", "SIMTEST")


class Holdings(FakeReads):
    """Shows what the customer holds even before the bot bought any of it, with what it cost."""

    def holdings(self) -> tuple[Holding, ...]:
        self._check()
        row = Holding(
            instrument=SHARE,
            isin="",
            settled=self.account.held(SHARE),
            unsettled_t1=0,
            used_today=0,
            pledged=0,
            average_price=Decimal("88.25"),
        )
        return (row,) if row.settled else ()


@dataclass(slots=True)
class Account:
    """A tenant and its account at the broker, with what a person can do to both."""

    tenant: TradingTenant
    broker: FakeBroker = field(default_factory=FakeBroker)
    candle: int = 0

    def reads(self, facts: ConnectionFacts) -> Holdings:
        return Holdings(self.broker)

    def reconcile(self) -> None:
        connection_reconcile(
            tenant_id=self.tenant.tenant_id, connection_id=self.tenant.connection_id, make_reads=self.reads
        )

    def execute(self, intent: object) -> None:
        from dataclasses import replace

        def make(facts: ConnectionFacts) -> object:
            return replace(self.broker.broker(facts), reads=Holdings(self.broker))

        order_execute(tenant_id=self.tenant.tenant_id, intent_id=intent.pk, make_broker=make)

    def buy(self, quantity: int = 10) -> None:
        self.candle += 1
        intent = make_entry(self.tenant, quantity=quantity, candle=self.candle)
        if intent is not None:
            self.execute(intent)
        self.reconcile()

    def close(self) -> None:
        lot = self.lot()
        if lot is None:
            return
        with tenant_scope(self.tenant.tenant_id):
            try:
                intent = position_close(position_id=lot.pk, request_id=uuid4(), actor="user:asha")
            except PositionRefusedError:
                return
        self.execute(intent)
        self.reconcile()

    def outside(self, shares: int) -> None:
        """Shares come (or go) without an order of ours."""
        self.broker.extra_shares += shares
        self.reconcile()

    def difference(self) -> ShareDifference | None:
        with tenant_scope(self.tenant.tenant_id):
            return next(iter(share_differences()), None)

    def lot(self) -> Position | None:
        with tenant_scope(self.tenant.tenant_id):
            return Position.objects.filter(closed_at=None).first()

    def baseline(self) -> int:
        with tenant_scope(self.tenant.tenant_id):
            return InstrumentConfig.objects.get().baseline_quantity

    def is_frozen(self) -> bool:
        with tenant_scope(self.tenant.tenant_id):
            return EntryFreeze.objects.filter(cleared_at=None).exists()

    def settle(
        self,
        kind: Kind,
        quantity: int,
        *,
        price: Decimal | None = None,
        shown: Shown | None = None,
        request_id: UUID | None = None,
    ) -> OutsideTrade:
        with tenant_scope(self.tenant.tenant_id):
            return outside_settle(
                connection_id=self.tenant.connection_id,
                instrument_id=self.tenant.instrument_id,
                kind=kind,
                quantity=quantity,
                price=price,
                market_price=self.broker.price,
                shown=shown or self.shown(),
                request_id=request_id or uuid4(),
                actor="user:asha",
            )

    def shown(self) -> Shown:
        found = next(iter(share_differences()), None)
        return (
            Shown(broker_quantity=0, lot_quantity=0, baseline_quantity=0)
            if found is None
            else Shown(
                broker_quantity=found.broker_quantity,
                lot_quantity=found.lot_quantity,
                baseline_quantity=found.baseline_quantity,
            )
        )


@pytest.fixture
def account(db) -> Account:
    made = Account(tenant=make_trading_tenant())
    made.reconcile()
    return made


def nothing_changed(account: Account) -> bool:
    with tenant_scope(account.tenant.tenant_id):
        return not OutsideTrade.objects.exists()


# --- the list ---------------------------------------------------------------------------------------------------------


def test_difference_is_listed_with_the_brokers_average_and_follows_the_books(account) -> None:
    account.buy()
    account.outside(5)
    account.outside(2)

    found = account.difference()

    assert (found.broker_quantity, found.lot_quantity, found.baseline_quantity, found.difference) == (17, 10, 0, 7)
    assert found.average_price == Decimal("88.25")
    assert found.since < found.seen_at
    assert account.is_frozen()


def test_difference_that_goes_away_by_itself_is_not_listed(account) -> None:
    account.buy()
    account.outside(5)
    account.outside(-5)

    assert account.difference() is None
    assert not account.is_frozen()


# --- the three answers ------------------------------------------------------------------------------------------------


def test_shares_called_mine_raise_the_baseline_and_lift_the_freeze(account) -> None:
    account.buy()
    account.outside(5)

    account.settle(Kind.MINE, 5)
    assert account.is_frozen()  # the books decide, not the click
    account.reconcile()

    assert (account.baseline(), account.lot().quantity, account.is_frozen()) == (5, 10, False)


def test_own_shares_that_were_sold_lower_the_baseline(account) -> None:
    account.buy()
    account.outside(5)
    account.settle(Kind.MINE, 5)
    account.outside(-3)

    account.settle(Kind.MINE, 3)
    account.reconcile()

    assert (account.baseline(), account.lot().quantity, account.is_frozen()) == (2, 10, False)


def test_adopted_shares_open_a_lot_at_the_stated_price_that_the_rule_watches(account) -> None:
    account.outside(8)

    account.settle(Kind.ADOPTED, 8, price=Decimal("88.25"))
    account.reconcile()

    lot = account.lot()
    assert (lot.quantity, lot.average_price, lot.charges, account.baseline()) == (8, Decimal("88.25"), 0, 0)
    assert not account.is_frozen()
    with tenant_scope(account.tenant.tenant_id):
        watched = dict(PriceLevel.objects.filter(position_id=lot.pk).values_list("kind", "price"))
    assert watched["target"] == Decimal("97.0750")


def test_adopted_shares_join_the_open_lot_at_their_own_price(account) -> None:
    account.buy()  # 10 at 100
    account.outside(10)

    account.settle(Kind.ADOPTED, 10, price=Decimal(80))

    assert (account.lot().quantity, account.lot().average_price) == (20, Decimal(90))


def test_adopted_shares_are_sold_with_the_lot_and_their_gain_is_counted(account) -> None:
    account.outside(8)
    account.settle(Kind.ADOPTED, 8, price=Decimal(88))
    account.reconcile()
    lot = account.lot()

    account.close()

    with tenant_scope(account.tenant.tenant_id):
        lot.refresh_from_db()
    assert (lot.quantity, lot.realized_pnl) == (0, Decimal(95))  # 8 * (100 - 88), less 1.00 of charges
    assert account.broker.held(SHARE) == 0


def test_lot_sold_outside_shrinks_at_the_stated_price(account) -> None:
    account.buy()
    account.outside(-4)

    account.settle(Kind.SOLD, 4, price=Decimal(110))
    account.reconcile()

    lot = account.lot()
    assert (lot.quantity, lot.average_price, account.is_frozen()) == (6, Decimal(100), False)
    assert lot.realized_pnl == Decimal("39.6")  # 4 * 10, less the 0.40 that buying these four cost


def test_lot_sold_outside_wholly_is_closed_and_watched_no_more(account) -> None:
    account.buy()
    lot = account.lot()
    account.outside(-10)

    account.settle(Kind.SOLD, 10, price=Decimal(90))
    account.reconcile()

    assert account.lot() is None
    assert not account.is_frozen()
    with tenant_scope(account.tenant.tenant_id):
        assert not PriceLevel.objects.filter(position_id=lot.pk).exists()


def test_difference_can_be_answered_in_parts(account) -> None:
    account.buy()
    account.outside(7)

    account.settle(Kind.MINE, 3)
    account.settle(Kind.ADOPTED, 4, price=Decimal(95))
    account.reconcile()

    assert (account.baseline(), account.lot().quantity, account.is_frozen()) == (3, 14, False)


def test_answer_is_audited_with_the_numbers_that_were_seen(account) -> None:
    account.buy()
    account.outside(5)
    account.settle(Kind.MINE, 5)

    with tenant_scope(account.tenant.tenant_id):
        entry = AuditEntry.objects.get(action="outside.settled")
    assert entry.actor == "user:asha"
    assert entry.data == {"kind": "MINE", "quantity": 5, "price": None, "broker": 15, "lot": 10, "own": 0}


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_same_form_sent_twice_is_one_answer(account) -> None:
    account.buy()
    account.outside(5)
    request_id = uuid4()
    with tenant_scope(account.tenant.tenant_id):
        shown = account.shown()

    first = account.settle(Kind.MINE, 5, shown=shown, request_id=request_id)
    second = account.settle(Kind.MINE, 5, shown=shown, request_id=request_id)

    assert first.pk == second.pk
    assert account.baseline() == 5


def test_answer_about_other_numbers_is_refused(account) -> None:
    account.buy()
    account.outside(5)
    with tenant_scope(account.tenant.tenant_id):
        shown = account.shown()
    account.outside(1)

    with pytest.raises(BooksMovedError):
        account.settle(Kind.MINE, 5, shown=shown)
    assert nothing_changed(account)


def test_answer_to_a_difference_that_is_gone_is_refused(account) -> None:
    account.buy()
    account.outside(5)
    with tenant_scope(account.tenant.tenant_id):
        shown = account.shown()
    account.outside(-5)

    with pytest.raises(BooksMovedError):
        account.settle(Kind.MINE, 5, shown=shown)
    assert nothing_changed(account)


def test_answer_while_an_order_of_the_share_is_at_the_broker_is_refused(account) -> None:
    account.buy()
    account.outside(5)
    account.broker.fills_at_once = False
    with tenant_scope(account.tenant.tenant_id):
        sale = position_close(position_id=account.lot().pk, request_id=uuid4(), actor="user:asha")
    account.execute(sale)

    with pytest.raises(BooksMovedError):
        account.settle(Kind.ADOPTED, 5, price=Decimal(100))
    assert nothing_changed(account)


@pytest.mark.parametrize("trouble", ["reconciled_at = reconciled_at - interval '2 min'", "failing_since = now()"])
def test_answer_on_books_that_are_not_fresh_is_refused(account, trouble) -> None:
    account.buy()
    account.outside(5)
    with tenant_scope(account.tenant.tenant_id), connection.cursor() as cursor:
        cursor.execute(f'UPDATE "trading_accountstate" SET {trouble}')

    with pytest.raises(BooksMovedError):
        account.settle(Kind.MINE, 5)
    assert nothing_changed(account)


@pytest.mark.parametrize(
    ("came", "kind", "quantity", "price"),
    [
        (5, Kind.MINE, 6, None),
        (5, Kind.MINE, 0, None),
        (5, Kind.MINE, -5, None),
        (5, Kind.ADOPTED, 6, Decimal(100)),
        (5, Kind.ADOPTED, 5, None),
        (5, Kind.ADOPTED, 5, Decimal(0)),
        (5, Kind.ADOPTED, 5, Decimal("NaN")),
        (5, Kind.SOLD, 5, Decimal(100)),
        (-5, Kind.ADOPTED, 5, Decimal(100)),
        (-5, Kind.MINE, 5, None),  # none of the shares was the customer's own
        (-5, Kind.SOLD, 6, Decimal(100)),
        (-5, Kind.SOLD, 5, None),
    ],
)
def test_answer_that_does_not_fit_the_difference_is_refused(account, came, kind, quantity, price) -> None:
    account.buy()
    account.outside(came)

    with pytest.raises(InvalidInputError):
        account.settle(kind, quantity, price=price)
    assert nothing_changed(account)
    assert account.lot().quantity == 10


def test_refused_price_opens_no_empty_lot(account) -> None:
    account.outside(5)

    with pytest.raises(InvalidInputError):
        account.settle(Kind.ADOPTED, 5, price=Decimal(0))

    with tenant_scope(account.tenant.tenant_id):
        assert not Position.objects.exists()


def test_strangers_connection_is_not_there(account) -> None:
    account.buy()
    account.outside(5)
    ravi = make_trading_tenant(name="Ravi")

    with tenant_scope(account.tenant.tenant_id):
        shown = account.shown()
    with tenant_scope(ravi.tenant_id), pytest.raises(BrokerConnection.DoesNotExist):
        outside_settle(
            connection_id=account.tenant.connection_id,
            instrument_id=account.tenant.instrument_id,
            kind=Kind.MINE,
            quantity=5,
            price=None,
            market_price=None,
            shown=shown,
            request_id=uuid4(),
            actor="user:ravi",
        )
    assert nothing_changed(account)


def test_database_refuses_to_change_an_answer(account) -> None:
    from django.db import InternalError, ProgrammingError, transaction

    account.outside(5)
    account.settle(Kind.MINE, 5)

    with (
        tenant_scope(account.tenant.tenant_id),
        pytest.raises((InternalError, ProgrammingError)),
        transaction.atomic(),
    ):
        OutsideTrade.objects.update(quantity=1)


# --- any sequence -----------------------------------------------------------------------------------------------------

STEP = st.one_of(
    st.tuples(st.just("mine comes"), st.integers(1, 9)),
    st.tuples(st.just("mine goes"), st.integers(1, 9)),
    st.tuples(st.just("lot sold elsewhere"), st.integers(1, 9)),
    st.tuples(st.just("adopt"), st.integers(1, 9)),
    st.tuples(st.just("buy"), st.integers(1, 9)),
    st.tuples(st.just("close"), st.just(0)),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=3, max_size=7))
def test_no_sequence_lets_a_sale_touch_the_customers_own_shares(db, steps) -> None:
    """The model knows whose each share is; after every step the books agree again and the own shares are there."""
    account, own = Account(tenant=make_trading_tenant()), 0
    account.reconcile()
    for step, size in steps:
        lot = account.lot()
        in_lot = 0 if lot is None else lot.quantity
        if step == "mine comes":
            account.outside(size)
            account.settle(Kind.MINE, size)
            own += size
        elif step == "mine goes" and own:
            gone = min(size, own)
            account.outside(-gone)
            account.settle(Kind.MINE, gone)
            own -= gone
        elif step == "lot sold elsewhere" and in_lot:
            gone = min(size, in_lot)
            account.outside(-gone)
            account.settle(Kind.SOLD, gone, price=Decimal(101))
        elif step == "adopt":
            account.outside(size)
            account.settle(Kind.ADOPTED, size, price=Decimal(90))
        elif step == "buy":
            account.buy(size)
        elif step == "close":
            account.close()
        account.reconcile()
        lot = account.lot()
        assert account.broker.held(SHARE) == own + (0 if lot is None else lot.quantity)
        assert account.baseline() == own
        assert not account.is_frozen()
    sold = sum(fill.quantity for fill in account.broker.trades_now if fill.side is Side.SELL)
    assert sold == 0 or account.broker.held(SHARE) >= own


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(own=st.integers(0, 6), bought=st.integers(1, 9), came=st.integers(-6, 9))
def test_sale_during_an_unanswered_difference_leaves_the_baseline_alone(db, own, bought, came) -> None:
    account = Account(tenant=make_trading_tenant())
    account.reconcile()
    if own:
        account.outside(own)
        account.settle(Kind.MINE, own)
        account.reconcile()
    account.buy(bought)
    account.outside(max(came, -bought - own))
    before = account.broker.held(SHARE)

    account.close()

    assert account.broker.held(SHARE) >= min(own, before)
    assert before - account.broker.held(SHARE) <= bought
