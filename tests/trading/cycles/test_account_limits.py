"""The limits of the whole account count over all its bots, and paper and real money apart."""

import zlib
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from apps.brokers.models import BrokerConnection
from apps.common import clock
from apps.common.db import tenant_scope
from apps.common.models import AuditEntry, OutboxEvent
from apps.engine.model.params import RiskLimits, StrategyParams
from apps.engine.model.snapshot import RiskScope
from apps.engine.replay import snapshot_from_bytes
from apps.market.cache import write_many
from apps.market.models import Candle, Instrument
from apps.market.quotes import CachedQuote, _key, _plain
from apps.trading.account_risk import account_limits, account_scope, held_beside
from apps.trading.claims import CycleReport
from apps.trading.errors import ParametersRefusedError
from apps.trading.models import Bot, CycleRun, Decision, OrderIntent, Position, TenantLimits
from apps.trading.services.bots import bot_create
from apps.trading.services.limits import tenant_limits_change
from tests.kit.factories.trading import TradingTenant, make_entry, make_instrument

from .conftest import NOW, make_buyer

Run = Callable[..., CycleReport]


def limit(tenant: TradingTenant, **limits: object) -> TenantLimits | None:
    with tenant_scope(tenant.tenant_id):
        newest = TenantLimits.objects.order_by("-version").values_list("version", flat=True).first()
        return tenant_limits_change(
            limits=RiskLimits(**limits), shown_version=newest or 0, actor=f"user:{tenant.user_id}"
        )


def second_bot(tenant: TradingTenant, *, broker: str = "paper", name: str = "Second") -> Bot:
    with tenant_scope(tenant.tenant_id):
        connection = BrokerConnection.objects.create(
            broker=broker, label=name, venue="SIM", account_ref=f"acc-{uuid4().hex[:8]}", opening_cash=Decimal(1000)
        )
        return bot_create(
            connection=connection,
            name=name,
            params=StrategyParams(),
            limits=RiskLimits(),
            allocated_capital=Decimal(50_000),
            instrument_ids=[],
            actor=f"user:{tenant.user_id}",
        )


def hold(bot: Bot, symbol: str, *, quantity: int = 10, average: str = "100", closed_pnl: str | None = None) -> UUID:
    with tenant_scope(bot.tenant_id):
        lot = Position.objects.create(
            connection_id=bot.connection_id,
            bot=bot,
            instrument=make_instrument(symbol),
            quantity=quantity if closed_pnl is None else 0,
            average_price=Decimal(average),
            opened_at=clock.now(),
            closed_at=None if closed_pnl is None else clock.now(),
            realized_pnl=Decimal(closed_pnl or 0),
        )
        return lot.instrument_id


def scope_of(tenant: TradingTenant, prices: dict[UUID, Decimal] | None = None) -> RiskScope:
    with tenant_scope(tenant.tenant_id):
        account = account_limits()
        assert account is not None
        bot = Bot.objects.select_related("connection").get(pk=tenant.bot_id)
        return account_scope(account, bot, prices=prices or {}, exchange="SIM", now=NOW)


def candle(instrument_id: UUID, close: str) -> None:
    Candle.objects.create(
        feed="simulated",
        instrument_id=instrument_id,
        timeframe="15s",
        opened_at=NOW - timedelta(days=1),
        open=Decimal(close),
        high=Decimal(close),
        low=Decimal(close),
        close=Decimal(close),
    )


def decided(tenant: TradingTenant) -> set[tuple[str, str]]:
    with tenant_scope(tenant.tenant_id):
        return {(row.reason, str(row.numbers.get("scope", ""))) for row in Decision.objects.all()}


# --- the rows ---------------------------------------------------------------------------------------------------------


def test_change_is_a_version_with_its_author(ravi) -> None:
    first = limit(ravi, daily_loss=Decimal(5000))
    second = limit(ravi, daily_loss=Decimal(4000), max_open_positions=3)

    assert (first.version, second.version) == (1, 2)
    with tenant_scope(ravi.tenant_id):
        assert account_limits().limits == RiskLimits(daily_loss=Decimal(4000), max_open_positions=3)
        entries = AuditEntry.objects.filter(action="tenant.limits_changed").order_by("at")
        assert [entry.data["version"] for entry in entries] == [1, 2]
        assert entries[0].actor == f"user:{ravi.user_id}"
        assert OutboxEvent.objects.filter(kind="LimitsChanged").count() == 2


def test_saving_what_is_in_force_writes_nothing(ravi) -> None:
    limit(ravi)
    limit(ravi, daily_loss=Decimal(5000))
    limit(ravi, daily_loss=Decimal("5000"))

    with tenant_scope(ravi.tenant_id):
        assert TenantLimits.objects.count() == 1


def test_old_form_is_refused(ravi) -> None:
    limit(ravi, daily_loss=Decimal(5000))

    with tenant_scope(ravi.tenant_id), pytest.raises(ParametersRefusedError, match="Somebody changed these limits"):
        tenant_limits_change(limits=RiskLimits(), shown_version=0, actor="user:x")


def test_limits_of_another_tenant_are_not_ours(ravi) -> None:
    stranger = make_buyer(rsi_period=5)
    limit(stranger, daily_loss=Decimal(1))

    with tenant_scope(ravi.tenant_id):
        assert account_limits() is None


def test_limits_that_were_all_taken_away_are_no_scope(ravi) -> None:
    limit(ravi, daily_loss=Decimal(1))
    limit(ravi)

    with tenant_scope(ravi.tenant_id):
        assert account_limits() is None


# --- what is counted --------------------------------------------------------------------------------------------------


def test_lots_and_purchases_of_every_bot_are_counted_at_cost(ravi) -> None:
    limit(ravi, capital=Decimal(10_000), max_open_positions=5)
    other = second_bot(ravi)
    hold(other, "SIMALPHA", quantity=10, average="100")
    hold(other, "SIMGAMMA", quantity=2, average="50")
    make_entry(ravi, quantity=3)

    usage = scope_of(ravi).usage

    assert usage.capital_in_use == Decimal(1000) + Decimal(100) + Decimal("301.50")
    assert usage.open_positions == 3


def test_real_money_is_not_counted_with_paper(ravi) -> None:
    limit(ravi, capital=Decimal(10_000), max_open_positions=5)
    hold(second_bot(ravi, broker="real", name="Real"), "SIMALPHA")

    usage = scope_of(ravi).usage

    assert (usage.capital_in_use, usage.open_positions) == (Decimal(0), 0)


def test_exposure_counts_a_share_at_every_broker_at_its_last_price(ravi) -> None:
    limit(ravi, max_instrument_exposure=Decimal(5000))
    alpha = hold(second_bot(ravi), "SIMALPHA", quantity=10, average="100")
    make_entry(ravi, quantity=2)

    priced = scope_of(ravi, {alpha: Decimal(120)}).usage.share_exposure
    unpriced = scope_of(ravi).usage.share_exposure

    assert priced == {"SIM:SIMALPHA": Decimal(1200) + Decimal("201.00")}
    assert unpriced == {"SIM:SIMALPHA": Decimal(1000) + Decimal("201.00")}


def test_sector_of_anything_unknown_is_unknown(ravi) -> None:
    limit(ravi, max_sector_exposure=Decimal(5000))
    other = second_bot(ravi)
    hold(other, "SIMALPHA")
    assert scope_of(ravi).usage.sector_exposure is None

    Instrument.objects.filter(tradingsymbol="SIMALPHA").update(sector="Energy")
    assert scope_of(ravi).usage.sector_exposure == {"Energy": Decimal(1000)}


def test_day_is_the_sum_over_the_bots_since_the_open(ravi) -> None:
    limit(ravi, daily_loss=Decimal(5000))
    gamma = hold(second_bot(ravi), "SIMGAMMA", quantity=10, average="100")
    candle(gamma, "110")

    usage = scope_of(ravi, {gamma: Decimal(95)}).usage

    assert usage.day_pnl == Decimal(-150)  # carried at 110, now at 95


@pytest.mark.parametrize("known", ["neither", "price", "close"])
def test_day_with_an_unknown_price_is_unknown(ravi, known) -> None:
    limit(ravi, daily_loss=Decimal(5000))
    gamma = hold(second_bot(ravi), "SIMGAMMA")
    if known == "close":
        candle(gamma, "110")

    assert scope_of(ravi, {gamma: Decimal(95)} if known == "price" else {}).usage.day_pnl is None


def test_losses_in_a_row_are_counted_over_the_bots_since_the_last_start(ravi, at_close) -> None:
    limit(ravi, pause_after_losses=2)
    other = second_bot(ravi)
    hold(other, "SIMGAMMA", closed_pnl="-5")  # closed at the very start
    at_close.advance(minutes=5)
    for symbol in ("SIMALPHA", "SIMDELTA"):
        hold(other, symbol, closed_pnl="-5")

    with tenant_scope(ravi.tenant_id):
        account, bot = account_limits(), Bot.objects.select_related("connection").get(pk=ravi.bot_id)
        usage = account_scope(account, bot, prices={}, exchange="SIM", now=at_close.at).usage

    assert usage.losses_in_row == 2


def test_what_no_limit_asks_for_is_not_read(ravi) -> None:
    limit(ravi, trade_cap=Decimal(5000))

    usage = scope_of(ravi).usage

    assert (usage.day_pnl, usage.orders_today, usage.losses_in_row) == (None, None, None)
    assert (usage.sector_exposure, usage.share_exposure) == (None, None)


def test_shares_beside_are_those_of_other_bots_with_the_same_money(ravi) -> None:
    gamma = hold(second_bot(ravi), "SIMGAMMA")
    hold(second_bot(ravi, broker="real", name="Real"), "SIMDELTA")
    hold_bot = second_bot(ravi, name="Third")

    with tenant_scope(ravi.tenant_id):
        found = held_beside(Bot.objects.select_related("connection").get(pk=hold_bot.pk))

    assert found == [gamma]


# --- in a cycle -------------------------------------------------------------------------------------------------------


def test_account_that_is_full_buys_nothing_though_the_bot_could(ravi, run: Run) -> None:
    limit(ravi, max_open_positions=1)
    hold(second_bot(ravi), "SIMGAMMA")

    run(ravi)

    assert decided(ravi) == {("MAX_POSITIONS", "account")}
    with tenant_scope(ravi.tenant_id):
        assert OrderIntent.objects.count() == 0
        assert CycleRun.objects.get().tenant_limits_version == 1


def test_loss_of_another_bot_ends_purchases_for_the_day_even_after_it_recovers(ravi, run: Run, at_close) -> None:
    limit(ravi, daily_loss=Decimal(100))
    gamma = hold(second_bot(ravi), "SIMGAMMA", quantity=10)
    candle(gamma, "110")

    def quote(price: int) -> None:
        now = at_close.at
        write_many({_key("simulated", gamma): _plain(CachedQuote(last_price=Decimal(price), at=now))}, ttl_seconds=60)

    quote(99)  # 110 under the close of yesterday
    run(ravi)
    assert decided(ravi) == {("DAILY_LOSS", "account")}

    at_close.advance(seconds=15)
    quote(115)
    run(ravi)

    with tenant_scope(ravi.tenant_id):
        newest = Decision.objects.filter(decided_at=Decision.objects.latest("decided_at").decided_at)
        assert set(newest.values_list("reason", flat=True)) == {"DAILY_LOSS"}
        assert OrderIntent.objects.count() == 0


def test_snapshot_carries_both_scopes(ravi, run: Run) -> None:
    limit(ravi, trade_cap=Decimal(5000))

    run(ravi)

    with tenant_scope(ravi.tenant_id):
        stored = zlib.decompress(bytes(CycleRun.objects.get().snapshot))
    scopes = snapshot_from_bytes(stored).risk
    assert [scope.name for scope in scopes] == ["bot", "account"]
    assert scopes[1].limits.trade_cap == Decimal(5000)


def test_account_without_limits_has_one_scope_and_version_zero(ravi, run: Run) -> None:
    run(ravi)

    with tenant_scope(ravi.tenant_id):
        cycle = CycleRun.objects.get()
    assert cycle.tenant_limits_version == 0
    assert [scope.name for scope in snapshot_from_bytes(zlib.decompress(bytes(cycle.snapshot))).risk] == ["bot"]
