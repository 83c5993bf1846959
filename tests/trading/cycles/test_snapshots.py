"""What a snapshot says of the books; expected rupees and counts are worked out by hand."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
import redis

from apps.common.db import tenant_scope
from apps.engine.model.choices import Mode, OrderType, Purpose, RunLevel, Side, Sizing
from apps.engine.model.params import RiskLimits
from apps.engine.model.snapshot import CycleSnapshot, InstrumentSnapshot
from apps.market.models import Candle, Instrument
from apps.market.quotes import CachedQuote
from apps.trading.claims import Opened, slot_open
from apps.trading.cycle import _terms
from apps.trading.models import (
    Bot,
    ClockTimestamp,
    CycleRun,
    Decision,
    EntryFreeze,
    Fill,
    InstrumentConfig,
    OrderIntent,
    ParameterSet,
    Position,
    StopRequest,
)
from apps.trading.services.freezes import entry_freeze
from apps.trading.services.intents import IntentTerms, intent_record
from apps.trading.slots import due_name
from apps.trading.snapshots import MarketFacts, cycle_snapshot
from tests.kit.clock import FakeClock
from tests.kit.factories.trading import TradingTenant, make_entry, make_exit
from tests.kit.feeds import FakeFeed

from .conftest import NOW, make_buyer

Look = Callable[..., CycleSnapshot]
DAY_START = NOW.replace(day=21, hour=18, minute=30, second=0)
"""Midnight in India."""


@pytest.fixture
def look(at_close: FakeClock) -> Look:
    """Return a function that takes the snapshot of the slot that is due now, at the given last prices."""

    def take(tenant: TradingTenant, prices: dict[UUID, str] | None = None, now: datetime = NOW) -> CycleSnapshot:
        at_close.set(now)
        with tenant_scope(tenant.tenant_id):
            opened = slot_open(bot_id=tenant.bot_id, name=due_name(now), now=now)
            assert isinstance(opened, Opened)
            quotes = {pk: CachedQuote(last_price=Decimal(price), at=now) for pk, price in (prices or {}).items()}
            return cycle_snapshot(_terms(opened, now), MarketFacts(quotes=quotes))

    return take


@pytest.fixture
def nila(db: None, feed: FakeFeed, at_close: FakeClock, valkey: "redis.Redis[bytes]") -> TradingTenant:
    return make_buyer(cooldown_candles=3)


def limit(tenant: TradingTenant, **limits: object) -> None:
    with tenant_scope(tenant.tenant_id):
        kept = ParameterSet.objects.latest("version")
        changed = ParameterSet.objects.create(
            bot_id=tenant.bot_id,
            version=kept.version + 1,
            params=kept.params,
            limits=RiskLimits(**limits).to_json(),  # type: ignore[arg-type]
            created_by="process:test",
        )
        Bot.objects.filter(pk=tenant.bot_id).update(parameters=changed)


def lot(tenant: TradingTenant, number: int = 0, *, quantity: int, average: str, **changes: object) -> Position:
    with tenant_scope(tenant.tenant_id):
        return Position.objects.create(
            connection_id=tenant.connection_id,
            bot_id=tenant.bot_id,
            instrument_id=tenant.instrument_ids[number],
            quantity=quantity,
            average_price=Decimal(average),
            **({"opened_at": NOW - timedelta(days=2)} | changes),
        )


def book(
    tenant: TradingTenant, intent: OrderIntent, position: Position, price: str, charges: str, at: datetime
) -> None:
    with tenant_scope(tenant.tenant_id):
        Fill.objects.create(
            connection_id=tenant.connection_id,
            intent=intent,
            position=position,
            instrument_id=intent.instrument_id,
            broker="paper",
            account_ref="test",
            trade_id=uuid4().hex,
            side=intent.side,
            quantity=intent.quantity,
            price=Decimal(price),
            charges=Decimal(charges),
            traded_at=at,
            traded_on=at.date(),
        )


def close_before_the_open(tenant: TradingTenant, close: str) -> None:
    Candle.objects.create(
        feed="simulated",
        instrument_id=tenant.instrument_id,
        timeframe="15s",
        opened_at=DAY_START - timedelta(seconds=15),
        open=1,
        high=1,
        low=1,
        close=Decimal(close),
        volume=1,
    )


def of(snapshot: CycleSnapshot, instrument_id: UUID) -> InstrumentSnapshot:
    return next(held for held in snapshot.instruments if held.instrument.instrument_id == str(instrument_id))


def test_position_is_told_with_the_number_of_its_next_exit(nila: TradingTenant, look: Look) -> None:
    position = lot(nila, quantity=10, average="100", highest_price=Decimal(120), entry_charges=Decimal("4.20"))
    first = make_exit(nila, position, quantity=10)
    assert first is not None
    with tenant_scope(nila.tenant_id):
        for state in ("SENDING", "REJECTED"):
            OrderIntent.objects.filter(pk=first.pk).update(state=state, fence=first.fence + 1)

    held = of(look(nila), nila.instrument_id)

    assert held.position is not None
    assert (held.position.quantity, held.position.average_price, held.position.highest_price) == (10, 100, 120)
    assert (held.position.exit_no, held.position.entry_charges) == (2, Decimal("4.20"))
    assert held.has_working_exit is False


def test_working_orders_are_told_apart(nila: TradingTenant, look: Look) -> None:
    position = lot(nila, quantity=10, average="100")
    make_exit(nila, position, quantity=10)

    held = of(look(nila), nila.instrument_id)

    assert (held.has_working_entry, held.has_working_exit, held.has_unknown_order) == (False, True, False)


@pytest.mark.parametrize(("blocks", "has_unknown_exit"), [(True, True), (False, False)])
def test_unknown_exit_blocks_until_another_may_be_made(
    nila: TradingTenant, look: Look, blocks: bool, has_unknown_exit: bool
) -> None:
    position = lot(nila, quantity=10, average="100")
    order = make_exit(nila, position, quantity=10)
    assert order is not None
    with tenant_scope(nila.tenant_id):
        for state in ("SENDING", "UNKNOWN"):
            OrderIntent.objects.filter(pk=order.pk).update(state=state, blocks=blocks, fence=order.fence + 1)

    held = of(look(nila), nila.instrument_id)

    assert (held.has_unknown_order, held.has_unknown_exit) == (True, has_unknown_exit)
    assert held.position is not None
    assert held.position.exit_no == (1 if blocks else 2)
    assert held.has_working_exit is False


def test_capital_counts_lots_and_what_entries_reserve(nila: TradingTenant, look: Look) -> None:
    lot(nila, 1, quantity=10, average="140.50")
    make_entry(nila, quantity=3)  # reserves 3 x 100.50

    snapshot = look(nila)

    assert snapshot.capital_in_use == Decimal("1706.50")
    assert snapshot.risk[0].usage.open_positions == 2
    assert snapshot.cash == Decimal("99698.50")


def test_exposure_is_at_the_last_price_where_there_is_one(nila: TradingTenant, look: Look) -> None:
    lot(nila, quantity=10, average="100")

    assert of(look(nila, {nila.instrument_id: "110"}), nila.instrument_id).exposure == 1100


def test_same_share_on_another_listing_is_held_elsewhere(nila: TradingTenant, look: Look) -> None:
    lot(nila, 1, quantity=10, average="100")
    Instrument.objects.filter(pk__in=nila.instrument_ids).update(isin="INE000000001")

    snapshot = look(nila)

    assert of(snapshot, nila.instrument_ids[0]).held_elsewhere is True
    assert of(snapshot, nila.instrument_ids[1]).held_elsewhere is False


def test_freeze_is_named_and_a_corporate_action_holds_exits(nila: TradingTenant, look: Look) -> None:
    with tenant_scope(nila.tenant_id):
        for reason in (EntryFreeze.Reason.POSITION_DIFFERS, EntryFreeze.Reason.CORPORATE_ACTION):
            entry_freeze(connection_id=nila.connection_id, instrument_id=nila.instrument_id, reason=reason)

    snapshot = look(nila)

    assert of(snapshot, nila.instrument_id).entry_freeze == "CORPORATE_ACTION, POSITION_DIFFERS"
    assert of(snapshot, nila.instrument_id).corporate_action_hold is True
    assert of(snapshot, nila.instrument_ids[1]).entry_freeze is None


@pytest.mark.parametrize(("seconds_ago", "count"), [(2, 1), (16, 1), (17, 2), (32, 3), (60, 4), (600, None)])
def test_candles_since_an_exit_are_counted_to_the_end_of_the_cooldown(
    nila: TradingTenant, look: Look, seconds_ago: int, count: int | None
) -> None:
    # NOW is one second after a close; the candles before it closed 16, 31 and 46 seconds ago.
    lot(nila, quantity=0, average="100", closed_at=NOW - timedelta(seconds=seconds_ago))

    assert of(look(nila), nila.instrument_id).candles_since_exit == count


def test_day_pnl_counts_from_the_price_at_the_open(nila: TradingTenant, look: Look) -> None:
    limit(nila, daily_loss=Decimal(1000))
    lot(nila, quantity=10, average="100")
    close_before_the_open(nila, "105")
    traded = TradingTenant(
        user_id=nila.user_id,
        tenant_id=nila.tenant_id,
        connection_id=nila.connection_id,
        bot_id=nila.bot_id,
        instrument_ids=nila.instrument_ids[1:],
    )
    closed = lot(nila, 1, quantity=0, average="200", closed_at=NOW - timedelta(minutes=1))
    bought, sold = make_entry(traded, quantity=5), make_exit(traded, closed, quantity=5)
    assert bought is not None
    assert sold is not None
    book(nila, bought, closed, "200", "3", NOW - timedelta(hours=1))
    book(nila, sold, closed, "190", "2", NOW - timedelta(minutes=1))
    book(nila, bought, closed, "1", "500", DAY_START - timedelta(seconds=1))  # yesterday's

    usage = look(nila, {nila.instrument_id: "110"}).risk[0].usage

    # 10 x (110 - 105) on the lot carried over, 5 x (190 - 200) on the one traded, 5 of charges.
    assert usage.day_pnl == Decimal(-5)


def test_day_pnl_of_a_lot_sold_in_part(nila: TradingTenant, look: Look) -> None:
    limit(nila, daily_loss=Decimal(1000))
    position = lot(nila, quantity=6, average="100")
    close_before_the_open(nila, "105")
    sold = make_exit(nila, position, quantity=4)
    assert sold is not None
    book(nila, sold, position, "108", "0", NOW - timedelta(minutes=1))

    # 4 x 108 taken in and 6 x 110 held, less the 10 x 105 there were at the open.
    assert look(nila, {nila.instrument_id: "110"}).risk[0].usage.day_pnl == Decimal(42)


def test_day_pnl_without_a_price_is_unknown(nila: TradingTenant, look: Look) -> None:
    limit(nila, daily_loss=Decimal(1000))
    lot(nila, quantity=10, average="100")

    assert look(nila).risk[0].usage.day_pnl is None
    assert look(nila, {nila.instrument_id: "110"}, NOW + timedelta(seconds=15)).risk[0].usage.day_pnl is None


def started_before(tenant: TradingTenant, ago: timedelta) -> None:
    """Let the newest start of the bot be so old: its row is stamped by the database's clock."""
    with tenant_scope(tenant.tenant_id):
        StopRequest.objects.create(
            scope="bot",
            scope_id=tenant.bot_id,
            level=RunLevel.RUNNING,
            request_id=uuid4(),
            requested_by="process:test",
            requested_at=ClockTimestamp() - ago,
        )


def test_losses_in_a_row_end_with_a_gain(nila: TradingTenant, look: Look) -> None:
    limit(nila, pause_after_losses=5)
    started_before(nila, timedelta(days=1))
    for hours, pnl in ((1, "-11"), (2, "-0.01"), (3, "0"), (4, "-51")):
        lot(
            nila,
            quantity=0,
            average="100",
            realized_pnl=Decimal(pnl),
            closed_at=NOW - timedelta(hours=hours),
        )

    assert look(nila).risk[0].usage.losses_in_row == 2


def test_starting_the_bot_lifts_the_pause_after_losses(nila: TradingTenant, look: Look) -> None:
    limit(nila, pause_after_losses=5)
    started_before(nila, timedelta(minutes=150))
    for hours in (1, 2, 3, 4):
        closed_at = NOW - timedelta(hours=hours)
        lot(nila, quantity=0, average="100", realized_pnl=Decimal(-11), closed_at=closed_at)

    assert look(nila).risk[0].usage.losses_in_row == 2


@pytest.mark.parametrize(
    ("reason", "scope", "hours", "reached"),
    [
        ("DAILY_LOSS", "bot", 1, True),
        ("DAILY_LOSS_FLATTEN", "bot", 1, True),
        ("CASH", "bot", 1, False),
        ("DAILY_LOSS", "account", 1, False),
        ("DAILY_LOSS", "bot", 30, False),
    ],
)
def test_daily_loss_that_was_met_today_stays_met(
    nila: TradingTenant, look: Look, reason: str, scope: str, hours: int, reached: bool
) -> None:
    limit(nila, daily_loss=Decimal(1000))
    close_before_the_open(nila, "100")
    with tenant_scope(nila.tenant_id):
        cycle = CycleRun.objects.create(
            bot_id=nila.bot_id, slot="candle@1", trigger="CANDLE", state="DONE", due_at=NOW, deliveries=1
        )
        Decision.objects.create(
            cycle=cycle,
            bot_id=nila.bot_id,
            instrument_id=nila.instrument_id,
            action="BLOCKED",
            reason=reason,
            numbers={"day_pnl": "-1000", "limit": "1000", "scope": scope},
            decided_at=NOW - timedelta(hours=hours),
        )

    assert look(nila).risk[0].usage.daily_loss_reached is reached


def test_sectors_count_lots_and_working_entries_of_the_whole_account(nila: TradingTenant, look: Look) -> None:
    limit(nila, max_sector_exposure=Decimal(50_000))
    Instrument.objects.filter(pk__in=nila.instrument_ids).update(sector="Software")
    lot(nila, 0, quantity=10, average="100")
    lot(nila, 1, quantity=5, average="40")

    snapshot = look(nila, {nila.instrument_ids[0]: "110"})

    assert of(snapshot, nila.instrument_id).instrument.sector == "Software"
    assert snapshot.risk[0].usage.sector_exposure == {"Software": Decimal(1300)}


def test_sectors_are_unknown_while_one_holding_has_none(nila: TradingTenant, look: Look) -> None:
    limit(nila, max_sector_exposure=Decimal(50_000))
    Instrument.objects.filter(pk=nila.instrument_ids[0]).update(sector="Software")
    lot(nila, 0, quantity=10, average="100")
    lot(nila, 1, quantity=5, average="40")

    snapshot = look(nila)

    assert snapshot.risk[0].usage.sector_exposure is None
    assert of(snapshot, nila.instrument_ids[1]).instrument.sector is None


def test_orders_of_the_day_leave_out_what_never_left(nila: TradingTenant, look: Look) -> None:
    limit(nila, max_orders_per_day=9)
    first = make_entry(nila)
    assert first is not None
    with tenant_scope(nila.tenant_id):
        OrderIntent.objects.filter(pk=first.pk).update(state="DEAD", fence=1)
    make_entry(nila, candle=2)

    assert look(nila).risk[0].usage.orders_today == 1


def test_limits_that_are_not_set_are_not_counted(nila: TradingTenant, look: Look) -> None:
    usage = look(nila).risk[0].usage

    assert (usage.day_pnl, usage.orders_today, usage.losses_in_row) == (None, None, None)


def test_instalment_of_this_month_is_known(
    db: None, feed: FakeFeed, at_close: FakeClock, valkey: "redis.Redis[bytes]", look: Look
) -> None:
    tenant = make_buyer(mode=Mode.SIP, sizing=Sizing.FIXED_AMOUNT, size=Decimal(1000))
    with tenant_scope(tenant.tenant_id):
        intent_record(
            bot=Bot.objects.get(pk=tenant.bot_id),
            instrument_id=tenant.instrument_id,
            terms=IntentTerms(
                key=f"SIP:{tenant.connection_id}:{tenant.instrument_id}:2026-11",
                purpose=Purpose.SIP,
                side=Side.BUY,
                quantity=1,
                order_type=OrderType.LIMIT,
                limit_price=Decimal(100),
            ),
            expires_at=NOW + timedelta(minutes=1),
        )

    snapshot = look(tenant)

    assert of(snapshot, tenant.instrument_ids[0]).sip_done is True
    assert of(snapshot, tenant.instrument_ids[1]).sip_done is False


def test_snapshot_of_one_tenant_holds_nothing_of_another(nila: TradingTenant, look: Look) -> None:
    other = make_buyer()
    lot(other, quantity=10, average="100")
    make_entry(other)

    snapshot = look(nila)

    assert snapshot.capital_in_use == 0
    assert all(held.position is None and not held.has_working_entry for held in snapshot.instruments)
    with tenant_scope(nila.tenant_id):
        assert InstrumentConfig.objects.count() == 2
