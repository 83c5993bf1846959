"""A cycle judges each share by its own settings, names their version, and buys nothing of a share that changed."""

import threading
import zlib
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.db import connection as database

from apps.common.db import tenant_scope
from apps.engine.cycle import decide
from apps.engine.replay import decisions_to_bytes, replay, snapshot_from_bytes
from apps.trading import cycle as cycle_module
from apps.trading.claims import CycleReport
from apps.trading.cycle import bot_run_cycle
from apps.trading.errors import InstrumentRefusedError
from apps.trading.models import Bot, CycleRun, Decision, InstrumentConfig, OrderIntent
from apps.trading.overrides import OwnSettings
from apps.trading.services.instruments import instrument_change, instrument_remove, instruments_switch
from apps.trading.slots import due_name
from tests.kit.factories.trading import TradingTenant

from .conftest import NOW, make_buyer

Run = Callable[..., CycleReport]
ACTOR = "user:test"


def set_own(tenant: TradingTenant, symbol: str, **own: object) -> InstrumentConfig:
    with tenant_scope(tenant.tenant_id):
        config = InstrumentConfig.objects.get(instrument__tradingsymbol=symbol)
        return instrument_change(
            config_id=config.pk,
            is_enabled=True,
            own=OwnSettings(**own),
            baseline_quantity=0,
            shown_version=config.settings_version,
            shown_baseline=0,
            actor=ACTOR,
        )


def decided(tenant: TradingTenant) -> dict[str, tuple[str, int]]:
    with tenant_scope(tenant.tenant_id):
        rows = Decision.objects.values_list("instrument__tradingsymbol", "reason", "settings_version")
        return {symbol: (reason, version) for symbol, reason, version in rows}


def bought(tenant: TradingTenant) -> dict[str, int]:
    with tenant_scope(tenant.tenant_id):
        return dict(OrderIntent.objects.values_list("instrument__tradingsymbol", "quantity"))


def test_share_is_judged_by_its_own_level_and_the_decision_names_its_version(ravi, run: Run) -> None:
    set_own(ravi, "SIMBETA", overrides={"buy_rsi": "1"})

    run(ravi)

    assert decided(ravi) == {"SIMALPHA": ("RSI_BUY", 0), "SIMBETA": ("RSI_ABOVE_BUY", 1)}
    assert set(bought(ravi)) == {"SIMALPHA"}


def test_share_is_bought_in_its_own_size(ravi, run: Run) -> None:
    set_own(ravi, "SIMBETA", overrides={"sizing": "FIXED_QUANTITY", "size": "2"})

    run(ravi)

    assert bought(ravi)["SIMBETA"] == 2
    assert bought(ravi)["SIMALPHA"] != 2


def test_cap_of_its_own_holds_its_purchase_back(ravi, run: Run) -> None:
    set_own(ravi, "SIMBETA", limits={"trade_cap": "1"})

    run(ravi)

    assert decided(ravi)["SIMBETA"] == ("TRADE_CAP", 1)
    assert set(bought(ravi)) == {"SIMALPHA"}


def test_stored_snapshot_replays_with_the_shares_own_settings(ravi, run: Run) -> None:
    set_own(ravi, "SIMBETA", overrides={"buy_rsi": "1", "cooldown_candles": 7}, limits={"trade_cap": "900"})

    run(ravi)

    with tenant_scope(ravi.tenant_id):
        stored = zlib.decompress(bytes(CycleRun.objects.get().snapshot))
    snapshot = snapshot_from_bytes(stored)
    own = {held.instrument.tradingsymbol: held for held in snapshot.instruments}
    assert own["SIMALPHA"].params is None
    assert (own["SIMBETA"].params.buy_rsi, own["SIMBETA"].limits.trade_cap) == (Decimal(1), Decimal(900))
    assert own["SIMBETA"].settings_version == 1
    assert replay(stored) == decisions_to_bytes(decide(snapshot))


def _while_deciding(monkeypatch: pytest.MonkeyPatch, action: Callable[[], None]) -> None:
    """Do something between the reading of the shares and the recording of what was decided."""

    def decide_late(snapshot):
        action()
        return decide(snapshot)

    monkeypatch.setattr(cycle_module, "decide", decide_late)


@pytest.mark.parametrize("what", ["switch", "remove", "change"])
def test_share_that_changed_while_it_was_judged_is_not_bought(ravi, run: Run, monkeypatch, what) -> None:
    def act() -> None:
        config = InstrumentConfig.objects.get(instrument__tradingsymbol="SIMBETA")
        if what == "switch":
            instruments_switch(config_ids=[config.pk], is_enabled=False, actor=ACTOR)
        elif what == "remove":
            instrument_remove(config_id=config.pk, actor=ACTOR)
        else:
            set_own(ravi, "SIMBETA", overrides={"buy_rsi": "2"})

    _while_deciding(monkeypatch, act)

    report = run(ravi)

    assert (report.state, report.reason) == ("FAILED", "shares_changed")
    assert bought(ravi) == {}
    assert decided(ravi) == {}


def test_removal_waits_for_a_cycle_that_buys_and_is_refused_then(
    committed_db, feed, at_close, valkey, monkeypatch
) -> None:
    """The cycle holds the share's row to its commit; the remover gets it afterwards and sees the order."""
    tenant = make_buyer()
    holding, outcomes = threading.Event(), []
    hold_shares = cycle_module._hold_shares

    def remove() -> None:
        holding.wait(timeout=10)
        try:
            with tenant_scope(tenant.tenant_id):
                config = InstrumentConfig.objects.get(instrument__tradingsymbol="SIMBETA")
                instrument_remove(config_id=config.pk, actor=ACTOR)
            outcomes.append("removed")
        except InstrumentRefusedError as error:
            outcomes.append(error.message)
        finally:
            database.close()

    remover = threading.Thread(target=remove)

    def hold_and_wait(opened, decisions) -> None:
        hold_shares(opened, decisions)
        holding.set()
        remover.join(timeout=1)  # it cannot end: the row is held
        outcomes.append("still waiting" if remover.is_alive() else "went past")

    monkeypatch.setattr(cycle_module, "_hold_shares", hold_and_wait)
    remover.start()
    report = bot_run_cycle(tenant_id=tenant.tenant_id, bot_id=tenant.bot_id, slot=due_name(NOW))
    remover.join(timeout=20)

    assert report.orders == 2
    assert outcomes == ["still waiting", "An order of SIMBETA is alive. It can be removed once that has ended."]
    with tenant_scope(tenant.tenant_id):
        assert Bot.objects.get().instruments.count() == 2
