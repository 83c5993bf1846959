"""Adding, changing, switching, moving and removing the shares of a bot."""

import threading
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.db import connection as database

from apps.common import clock
from apps.common.db import tenant_scope
from apps.common.errors import InvalidInputError
from apps.common.models import AuditEntry, OutboxEvent
from apps.engine.errors import InvalidParamsError
from apps.engine.model.params import RiskLimits, StrategyParams
from apps.market.models import Instrument
from apps.trading.errors import InstrumentRefusedError, ParametersRefusedError
from apps.trading.models import Bot, InstrumentConfig, InstrumentVersion, Position, PriceLevel
from apps.trading.overrides import OwnSettings
from apps.trading.selectors import share_params
from apps.trading.services.bots import bot_create, parameters_change
from apps.trading.services.instruments import (
    instrument_add,
    instrument_change,
    instrument_move,
    instrument_remove,
    instruments_switch,
)
from apps.trading.services.levels import levels_refresh
from tests.kit.factories.trading import TradingTenant, make_entry
from tests.trading.shares.conftest import actor_of, bot_of


def instrument(symbol: str) -> Instrument:
    return Instrument.objects.get(exchange="SIM", tradingsymbol=symbol)


def config_of(symbol: str) -> InstrumentConfig:
    return InstrumentConfig.objects.select_related("instrument", "bot").get(instrument__tradingsymbol=symbol)


def change(tenant: TradingTenant, config: InstrumentConfig, **changes: object) -> InstrumentConfig:
    values: dict[str, object] = {
        "is_enabled": config.is_enabled,
        "own": OwnSettings(overrides=config.overrides, limits=config.limits),
        "baseline_quantity": config.baseline_quantity,
        "shown_version": config.settings_version,
        "shown_baseline": config.baseline_quantity,
        **changes,
    }
    return instrument_change(config_id=config.pk, actor=actor_of(tenant), **values)


def hold(tenant: TradingTenant, symbol: str, *, average: str = "100") -> Position:
    bot = bot_of(tenant)
    position = Position.objects.create(
        connection=bot.connection,
        bot=bot,
        instrument=instrument(symbol),
        quantity=5,
        average_price=Decimal(average),
        opened_at=clock.now(),
    )
    levels_refresh(position)
    return position


def other_bot(tenant: TradingTenant, **params: object) -> Bot:
    return bot_create(
        connection=bot_of(tenant).connection,
        name="Second",
        params=StrategyParams(**params),
        limits=RiskLimits(),
        allocated_capital=Decimal(1000),
        instrument_ids=[],
        actor=actor_of(tenant),
    )


# --- add --------------------------------------------------------------------------------------------------------------


def test_added_share_is_watched_with_the_bots_settings(in_scope) -> None:
    config = instrument_add(bot=bot_of(in_scope), instrument_id=instrument("SIMGAMMA").pk, actor=actor_of(in_scope))

    assert (config.is_enabled, config.overrides, config.limits, config.baseline_quantity) == (True, {}, {}, 0)
    assert InstrumentVersion.objects.get().version == config.settings_version == 1
    assert OutboxEvent.objects.filter(kind="InstrumentsChanged").count() == 1


def test_adding_twice_adds_once(in_scope) -> None:
    for _ in range(2):
        instrument_add(bot=bot_of(in_scope), instrument_id=instrument("SIMGAMMA").pk, actor=actor_of(in_scope))

    assert InstrumentConfig.objects.count() == 3
    assert InstrumentVersion.objects.count() == 1


def test_share_over_the_plans_places_is_refused(in_scope, plan) -> None:
    plan.max_instruments = 2

    with pytest.raises(InstrumentRefusedError, match="at most 2 shares, which your plan allows; SIMGAMMA"):
        instrument_add(bot=bot_of(in_scope), instrument_id=instrument("SIMGAMMA").pk, actor=actor_of(in_scope))

    assert InstrumentConfig.objects.count() == 2


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "INDEX"}, "an index and not for sale"),
        ({"is_active": False}, "not traded any more"),
        ({"exchange": "NSE", "is_simulated": False}, "is on NSE. Expected a share on SIM."),
    ],
)
def test_what_the_bot_cannot_trade_is_refused(in_scope, fields, words) -> None:
    Instrument.objects.filter(tradingsymbol="SIMGAMMA").update(**fields)
    found = Instrument.objects.get(tradingsymbol="SIMGAMMA")

    with pytest.raises(InstrumentRefusedError, match=words):
        instrument_add(bot=bot_of(in_scope), instrument_id=found.pk, actor=actor_of(in_scope))


def test_unknown_share_is_refused(in_scope) -> None:
    with pytest.raises(InstrumentRefusedError, match="not there any more"):
        instrument_add(bot=bot_of(in_scope), instrument_id=uuid4(), actor=actor_of(in_scope))


def test_share_of_another_bot_of_the_connection_is_refused(in_scope) -> None:
    with pytest.raises(InstrumentRefusedError, match="SIMALPHA is watched by the bot Bot"):
        instrument_add(bot=other_bot(in_scope), instrument_id=instrument("SIMALPHA").pk, actor=actor_of(in_scope))


# --- change -----------------------------------------------------------------------------------------------------------


def test_change_appends_a_version_and_says_who(in_scope) -> None:
    own = OwnSettings(overrides={"buy_rsi": "30.00", "sell_rsi": None}, limits={"trade_cap": "5000.0"})

    config = change(in_scope, config_of("SIMALPHA"), own=own, baseline_quantity=7)

    stored = config_of("SIMALPHA")
    assert (stored.overrides, stored.limits) == ({"buy_rsi": "30", "sell_rsi": None}, {"trade_cap": "5000"})
    assert (stored.baseline_quantity, stored.settings_version) == (7, 1)
    version = InstrumentVersion.objects.get(version=config.settings_version)
    assert (version.overrides, version.baseline_quantity, version.created_by) == (
        stored.overrides,
        7,
        actor_of(in_scope),
    )
    entry = AuditEntry.objects.get(action="instrument.changed")
    assert (entry.actor, entry.data["own_shares"], entry.data["symbol"]) == (actor_of(in_scope), 7, "SIMALPHA")


def test_change_to_what_is_there_writes_nothing(in_scope) -> None:
    change(in_scope, config_of("SIMALPHA"))

    assert InstrumentVersion.objects.count() == 0
    assert AuditEntry.objects.filter(action="instrument.changed").count() == 0


@pytest.mark.parametrize(
    ("own", "field"),
    [
        (OwnSettings(overrides={"buy_rsi": "70"}), "sell_rsi"),
        (OwnSettings(overrides={"buy_rsi": "0"}), "buy_rsi"),
        (OwnSettings(overrides={"rsi_period": 3}), "rsi_period"),
        (OwnSettings(limits={"trade_cap": "0"}), "trade_cap"),
        (OwnSettings(limits={"daily_loss": "5"}), "daily_loss"),
    ],
)
def test_settings_that_the_engine_would_not_take_save_nothing(in_scope, own, field) -> None:
    with pytest.raises(InvalidParamsError) as raised:
        change(in_scope, config_of("SIMALPHA"), own=own)

    assert field in {fault.field for fault in raised.value.faults}
    assert config_of("SIMALPHA").overrides == {}


@pytest.mark.parametrize("quantity", [-1, 10**10])
def test_own_shares_below_zero_or_beyond_reason_are_refused(in_scope, quantity) -> None:
    with pytest.raises(InvalidInputError, match="expected a whole number from 0"):
        change(in_scope, config_of("SIMALPHA"), baseline_quantity=quantity)


def test_change_of_an_old_form_is_refused(in_scope) -> None:
    old = config_of("SIMALPHA")
    change(in_scope, old, own=OwnSettings(overrides={"buy_rsi": "30"}))

    with pytest.raises(InstrumentRefusedError, match="Somebody changed this share"):
        change(in_scope, old, own=OwnSettings(overrides={"buy_rsi": "20"}))

    assert config_of("SIMALPHA").overrides == {"buy_rsi": "30"}


def test_open_position_follows_its_shares_own_stop_at_once(in_scope) -> None:
    hold(in_scope, "SIMALPHA", average="100")
    assert PriceLevel.objects.get(kind="stop").price == Decimal(95)

    change(in_scope, config_of("SIMALPHA"), own=OwnSettings(overrides={"stop_loss_percent": "2"}))

    assert PriceLevel.objects.get(kind="stop").price == Decimal(98)


def test_another_tenants_share_cannot_be_changed(asha, ravi) -> None:
    with tenant_scope(asha.tenant_id):
        config = config_of("SIMALPHA")

    with tenant_scope(ravi.tenant_id), pytest.raises(InstrumentConfig.DoesNotExist):
        change(ravi, config, is_enabled=False)

    with tenant_scope(asha.tenant_id):
        assert config_of("SIMALPHA").is_enabled


# --- switch, move, remove ---------------------------------------------------------------------------------------------


def test_switching_counts_what_changed(in_scope) -> None:
    ids = list(InstrumentConfig.objects.values_list("pk", flat=True))

    assert instruments_switch(config_ids=ids, is_enabled=False, actor=actor_of(in_scope)) == 2
    assert instruments_switch(config_ids=[*ids, uuid4()], is_enabled=False, actor=actor_of(in_scope)) == 0
    assert not InstrumentConfig.objects.filter(is_enabled=True).exists()
    assert AuditEntry.objects.filter(action="instrument.switched_off").count() == 2


def test_move_takes_the_share_and_its_settings_along(in_scope) -> None:
    change(in_scope, config_of("SIMALPHA"), own=OwnSettings(overrides={"buy_rsi": "30"}), baseline_quantity=3)
    second = other_bot(in_scope)

    instrument_move(config_id=config_of("SIMALPHA").pk, bot=second, actor=actor_of(in_scope))

    moved = config_of("SIMALPHA")
    assert (moved.bot_id, moved.overrides, moved.baseline_quantity, moved.settings_version) == (
        second.pk,
        {"buy_rsi": "30"},
        3,
        2,
    )


def test_move_to_a_bot_whose_settings_contradict_is_refused(in_scope) -> None:
    change(in_scope, config_of("SIMALPHA"), own=OwnSettings(overrides={"buy_rsi": "50"}))
    second = other_bot(in_scope, buy_rsi=Decimal(20), sell_rsi=Decimal(40))

    with pytest.raises(InstrumentRefusedError, match="do not fit the bot Second"):
        instrument_move(config_id=config_of("SIMALPHA").pk, bot=second, actor=actor_of(in_scope))


@pytest.mark.parametrize("verb", ["moved", "removed"])
def test_held_share_stays_where_it_is(in_scope, verb) -> None:
    hold(in_scope, "SIMALPHA")
    config, second = config_of("SIMALPHA"), other_bot(in_scope)

    with pytest.raises(InstrumentRefusedError, match=f"Bot holds 5 of SIMALPHA. It can be {verb} once they are sold."):
        _take_away(in_scope, config, verb, second)

    assert config_of("SIMALPHA").bot_id == in_scope.bot_id


@pytest.mark.parametrize("verb", ["moved", "removed"])
def test_share_with_a_living_order_stays_where_it_is(in_scope, verb) -> None:
    make_entry(in_scope)
    config, second = config_of("SIMALPHA"), other_bot(in_scope)

    with pytest.raises(InstrumentRefusedError, match="An order of SIMALPHA is alive"):
        _take_away(in_scope, config, verb, second)


def _take_away(tenant: TradingTenant, config: InstrumentConfig, verb: str, second: Bot) -> None:
    if verb == "moved":
        instrument_move(config_id=config.pk, bot=second, actor=actor_of(tenant))
    else:
        instrument_remove(config_id=config.pk, actor=actor_of(tenant))


def test_removed_share_keeps_its_history_and_comes_back_with_its_own_shares(in_scope) -> None:
    change(in_scope, config_of("SIMALPHA"), baseline_quantity=9)

    instrument_remove(config_id=config_of("SIMALPHA").pk, actor=actor_of(in_scope))
    assert not InstrumentConfig.objects.filter(instrument__tradingsymbol="SIMALPHA").exists()
    again = instrument_add(bot=bot_of(in_scope), instrument_id=instrument("SIMALPHA").pk, actor=actor_of(in_scope))

    assert (again.baseline_quantity, again.settings_version, again.overrides) == (9, 3, {})
    assert list(InstrumentVersion.objects.order_by("version").values_list("version", "is_removed")) == [
        (1, False),
        (2, True),
        (3, False),
    ]


def test_removing_what_is_gone_is_told(in_scope) -> None:
    with pytest.raises(InstrumentConfig.DoesNotExist):
        instrument_remove(config_id=UUID(int=5), actor=actor_of(in_scope))


def test_two_who_take_the_last_place_at_once_get_one_share(committed_db, plan) -> None:
    """Both count the places under the lock of the tenant's bots."""
    from tests.kit.factories.trading import make_instrument, make_trading_tenant

    tenant = make_trading_tenant(name="Asha", symbols=("SIMALPHA", "SIMBETA"), running=False)
    wanted = [make_instrument(symbol).pk for symbol in ("SIMGAMMA", "SIMDELTA")]
    plan.max_instruments = 3
    both_ready, outcomes = threading.Barrier(2), []

    def add(instrument_id: UUID) -> None:
        try:
            with tenant_scope(tenant.tenant_id):
                bot = bot_of(tenant)
                both_ready.wait(timeout=10)
                instrument_add(bot=bot, instrument_id=instrument_id, actor=actor_of(tenant))
            outcomes.append("added")
        except InstrumentRefusedError:
            outcomes.append("refused")
        finally:
            database.close()

    threads = [threading.Thread(target=add, args=(pk,)) for pk in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)

    assert sorted(outcomes) == ["added", "refused"]
    with tenant_scope(tenant.tenant_id):
        assert InstrumentConfig.objects.count() == 3


def test_bots_parameters_that_a_shares_own_would_contradict_are_refused(in_scope) -> None:
    change(in_scope, config_of("SIMALPHA"), own=OwnSettings(overrides={"buy_rsi": "50"}))
    before = bot_of(in_scope).parameters.version

    with pytest.raises(ParametersRefusedError, match="SIMALPHA has settings of its own that do not fit: sell_rsi"):
        parameters_change(
            bot=bot_of(in_scope),
            params=StrategyParams(sell_rsi=Decimal(45)),
            limits=RiskLimits(),
            actor=actor_of(in_scope),
        )

    assert bot_of(in_scope).parameters.version == before


def test_shares_own_parameters_stand_in_place_of_the_bots(in_scope) -> None:
    change(in_scope, config_of("SIMALPHA"), own=OwnSettings(overrides={"stop_loss_percent": None, "buy_rsi": "20"}))

    own = share_params(bot_of(in_scope), instrument("SIMALPHA").pk)
    beside = share_params(bot_of(in_scope), instrument("SIMBETA").pk)

    assert (own.stop_loss_percent, own.buy_rsi, own.sell_rsi) == (None, Decimal(20), Decimal(65))
    assert beside == StrategyParams()
