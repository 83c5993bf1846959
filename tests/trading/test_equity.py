"""The curve of an account: what a point holds, when there is none, and how old points are thinned."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from apps.common.db import tenant_scope
from apps.trading.models import EquityPoint, Position
from apps.trading.services.equity import equity_note, equity_thin, equity_wanted
from tests.kit.clock import FakeClock
from tests.kit.factories.trading import TradingTenant, make_entry, make_trading_tenant
from tests.trading.test_outside import Account, Kind


def note(tenant: TradingTenant, price: str | None = "110") -> EquityPoint | None:
    prices = {} if price is None else {tenant.instrument_id: Decimal(price)}
    with tenant_scope(tenant.tenant_id):
        return equity_note(tenant.connection_id, prices)


@pytest.fixture
def holding(clock: FakeClock, asha: TradingTenant, execute, reconcile) -> TradingTenant:
    """Ten shares bought at 100.00 for 1.00, of 1,00,000 rupees."""
    reconcile(asha)
    execute(asha, make_entry(asha))
    reconcile(asha)
    clock.advance(minutes=2)
    return asha


def test_point_is_cash_and_lots_at_the_last_price_and_gain_after_charges(holding) -> None:
    point = note(holding)

    assert (point.cash, point.positions_value, point.equity) == (Decimal(99_000), Decimal(1100), Decimal(100_100))
    assert (point.realized_pnl, point.unrealized_pnl, point.charges) == (0, Decimal(99), Decimal(1))
    assert point.pnl == Decimal(99)
    assert point.bots == {str(holding.bot_id): "99.0000"}


def test_gain_agrees_with_the_money_that_is_there_more_after_a_round_trip(
    holding, broker, execute, reconcile, clock
) -> None:
    from apps.trading.services.positions import position_close

    broker.price = Decimal(120)
    with tenant_scope(holding.tenant_id):
        sale = position_close(position_id=Position.objects.get().pk, request_id=uuid4(), actor="user:asha")
    execute(holding, sale)
    reconcile(holding)
    with tenant_scope(holding.tenant_id):
        point = EquityPoint.objects.latest("at")

    # The broker in memory takes no charges off its cash: 1.00 each way is the difference.
    assert (point.pnl, point.equity - Decimal(100_000)) == (Decimal(198), Decimal(200))
    assert point.charges == Decimal(2)


def test_deposit_moves_the_worth_and_not_the_gain(holding, broker, reconcile, clock) -> None:
    before = note(holding)
    broker.cash += 50_000
    clock.advance(minutes=2)
    reconcile(holding)
    clock.advance(minutes=2)

    after = note(holding)

    assert (after.equity - before.equity, after.pnl - before.pnl) == (Decimal(50_000), 0)


def test_adopted_shares_bring_no_gain_of_days_gone_by(db, clock) -> None:
    account = Account(tenant=make_trading_tenant())
    account.reconcile()
    account.outside(10)
    account.settle(Kind.ADOPTED, 10, price=Decimal(40))  # worth 100 each by now
    account.reconcile()
    clock.advance(minutes=2)

    at_once = note(account.tenant, "100")
    clock.advance(minutes=2)
    later = note(account.tenant, "101")

    assert (at_once.pnl, later.pnl) == (0, Decimal(10))
    assert later.bots == {str(account.tenant.bot_id): "10.0000"}


def test_moment_without_a_price_has_no_point(holding) -> None:
    with tenant_scope(holding.tenant_id):
        before = EquityPoint.objects.count()

    assert note(holding, None) is None

    with tenant_scope(holding.tenant_id):
        assert EquityPoint.objects.count() == before


def test_account_that_was_never_read_has_no_point(asha) -> None:
    assert note(asha) is None


def test_reconciliation_takes_a_point_at_most_once_a_minute(asha, reconcile, clock, valkey) -> None:
    for _second in range(0, 150, 15):
        reconcile(asha)
        clock.advance(seconds=15)
    with tenant_scope(asha.tenant_id):
        assert EquityPoint.objects.count() == 1  # nothing changed
        assert equity_wanted(asha.connection_id) == []

    with tenant_scope(asha.tenant_id):
        from apps.trading.models import AccountState

        AccountState.objects.update(cash=Decimal(5))
        equity_note(asha.connection_id, {})
        assert EquityPoint.objects.count() == 2
        assert equity_wanted(asha.connection_id) is None


def test_unchanged_account_gets_a_point_every_quarter_of_an_hour(asha, reconcile, clock) -> None:
    for _minute in range(31):
        reconcile(asha)
        clock.advance(minutes=1)

    with tenant_scope(asha.tenant_id):
        assert EquityPoint.objects.count() == 3


def test_old_points_are_thinned_to_the_last_of_their_span(asha, clock) -> None:
    now = datetime(2026, 11, 16, 6, 0, tzinfo=UTC)
    ages = {
        "minute": [timedelta(minutes=minute) for minute in range(40)],
        "quarter": [timedelta(days=3, minutes=minute) for minute in range(60)],
        "day": [timedelta(days=40, hours=hour) for hour in range(48)],
    }
    with tenant_scope(asha.tenant_id):
        for spans in ages.values():
            for age in spans:
                EquityPoint.objects.create(
                    connection_id=asha.connection_id,
                    at=now - age,
                    **dict.fromkeys(("cash", "positions_value", "realized_pnl", "unrealized_pnl", "charges"), 0),
                )
        equity_thin(asha.connection_id, now)
        left = list(EquityPoint.objects.order_by("at").values_list("at", flat=True))

    assert len([at for at in left if at > now - timedelta(days=1)]) == 40
    assert [at.minute for at in left if now - timedelta(days=10) < at < now - timedelta(days=2)] == [14, 29, 44, 59, 0]
    old = [at for at in left if at < now - timedelta(days=30)]
    assert [india_date(at) for at in old] == ["2026-10-05", "2026-10-06", "2026-10-07"]
    assert old[1] == datetime(2026, 10, 6, 18, 0, tzinfo=UTC)  # 23:30 in India: the last point of that date


def india_date(at: datetime) -> str:
    return (at + timedelta(hours=5, minutes=30)).date().isoformat()


def test_points_of_another_tenant_are_not_there(holding) -> None:
    note(holding)
    ravi = make_trading_tenant(name="Ravi")

    with tenant_scope(ravi.tenant_id):
        assert not EquityPoint.objects.exists()
        assert equity_note(holding.connection_id, {}) is None
