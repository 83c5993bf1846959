"""The settings of the rule, of a bot's limits and of the account's: ranges, effects, versions."""

import re
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from apps.common.db import tenant_scope
from apps.common.models import AuditEntry
from apps.engine.model.params import LIMIT_RANGES, PRESETS, RANGES, Preset, RiskLimits, StrategyParams
from apps.trading.models import Bot, InstrumentConfig, ParameterSet, PriceLevel, TenantLimits
from apps.trading.services.limits import tenant_limits_change
from apps.web.parameter_words import LIMITS, PARAMETERS, range_words, value_words
from apps.web.strategy_forms import preset_values
from tests.web.test_home import text_of
from tests.web.world import World

HTMX = {"HTTP_HX_REQUEST": "true"}
STRATEGY, ACCOUNT = "/settings/strategy/", "/settings/account/"


def form_of(page: str, **changes: object) -> dict[str, str]:
    """Return what a browser would send back of a settings page, with some answers changed; None empties a box."""
    form: dict[str, str] = {}
    fields = page[page.index('id="settings-form"') :]
    for tag in re.findall(r"<input[^>]*>", fields):
        name = re.search(r'name="(\w+)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        if name is None or name[1] == "csrfmiddlewaretoken":
            continue
        if 'type="checkbox"' in tag:
            if " checked" in tag:
                form[name[1]] = "on"
        else:
            form[name[1]] = value[1] if value else ""
    for name, options in re.findall(r'<select name="(\w+)".*?>(.*?)</select>', fields, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options)
        form[name] = chosen[1] if chosen else ""
    form |= {name: str(value) for name, value in changes.items() if value is not None}
    return {name: value for name, value in form.items() if changes.get(name, "") is not None}


def bot_of(world: World) -> Bot:
    with tenant_scope(world.account.tenant_id):
        return Bot.objects.select_related("parameters", "connection").get(pk=world.account.bot_id)


def params_of(world: World) -> StrategyParams:
    return StrategyParams.from_json(bot_of(world).parameters.params)


def save(client, address: str = STRATEGY, **changes: object):
    page = client.get(address).content.decode()
    return client.post(address, form_of(page, **changes))


# --- the page ---------------------------------------------------------------------------------------------------------


def test_page_shows_every_parameter_with_range_default_and_what_is_in_force(owner, world) -> None:
    page = owner.get(STRATEGY).content.decode()
    text = text_of(owner.get(STRATEGY))

    for name in (*PARAMETERS, *LIMITS):
        if name != "capital":
            assert f'name="{name}"' in page, name
    assert "0.1 to 90, or off" in text
    assert "default 5%" in text
    assert "₹5,000 a purchase now." in text
    assert "in charges" in text
    assert "Version 1" in text


def test_numbers_carry_their_range_for_the_browser(owner, world) -> None:
    page = owner.get(STRATEGY).content.decode()

    (stop,) = re.findall(r'<input[^>]*name="stop_loss_percent"[^>]*>', page)
    (period,) = re.findall(r'<input[^>]*name="rsi_period"[^>]*>', page)
    assert all(part in stop for part in ('type="number"', 'min="0.1"', 'max="90"', 'step="any"'))
    assert all(part in period for part in ('min="2"', 'max="50"', 'step="1"'))


def test_every_number_has_words_and_a_range() -> None:
    assert set(RANGES) <= set(PARAMETERS)
    assert set(LIMIT_RANGES) <= set(LIMITS)
    assert set(StrategyParams().to_json()) == set(PARAMETERS)
    assert set(RiskLimits().to_json()) == set(LIMITS)
    assert range_words("trailing_stop_percent") == "0.1 to 50, or off"
    assert value_words("minimum_turnover", "2500000") == "₹25,00,000"


def test_viewer_sees_all_and_cannot_save(viewer, world) -> None:
    page = viewer.get(STRATEGY).content.decode()

    assert '<fieldset class="settings-fields stack" disabled>' in page
    assert ">Save<" not in page
    assert viewer.post(STRATEGY, form_of(page, buy_rsi="20")).status_code == 403
    assert viewer.post(ACCOUNT, {}).status_code == 403
    assert params_of(world).buy_rsi == Decimal(35)


def test_stranger_has_neither_the_bot_nor_its_versions(stranger, world) -> None:
    assert "No bot yet" in text_of(stranger.get(STRATEGY))
    assert stranger.get(f"{STRATEGY}?bot={world.account.bot_id}").status_code == 404
    assert stranger.post(f"{STRATEGY}?bot={world.account.bot_id}", {}).status_code == 404


def test_page_needs_few_queries(owner, world) -> None:
    with CaptureQueriesContext(database) as captured:
        owner.get(STRATEGY)

    own = [each for each in captured if "FROM" in each["sql"] and "django_session" not in each["sql"]]
    assert len(own) <= 12, [each["sql"][:90] for each in own]


# --- saving -----------------------------------------------------------------------------------------------------------


def test_saving_makes_a_version_that_open_positions_follow(owner, world) -> None:
    response = save(owner, stop_loss_percent="2", daily_loss="1,500", capital="80,000")

    assert (response.status_code, response["Location"]) == (302, f"{STRATEGY}?bot={world.account.bot_id}")
    bot = bot_of(world)
    assert (params_of(world).stop_loss_percent, bot.allocated_capital) == (Decimal(2), Decimal(80_000))
    limits = RiskLimits.from_json(bot.parameters.limits)
    assert (limits.daily_loss, limits.capital) == (Decimal(1500), Decimal(80_000))
    assert (bot.parameters.version, bot.parameters.created_by) == (2, f"user:{world.owner.pk}")
    with tenant_scope(world.account.tenant_id):
        assert PriceLevel.objects.get(kind="stop").price == Decimal(98)
    text = text_of(owner.get(STRATEGY))
    assert "Version 2 in force" in text
    assert "Stop loss: 5% → 2%" in text


def test_saving_what_is_in_force_makes_no_version(owner, world) -> None:
    save(owner)  # gives the version its money as a limit
    before = bot_of(world).parameters.version

    save(owner)

    assert bot_of(world).parameters.version == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stop_loss_percent": "95"}, "Expected 0.1 to 90, or off, got 95."),
        ({"buy_rsi": "70"}, "Expected more than the buying level (70), got 65."),
        ({"buy_rsi": ""}, "Expected 1 to 99, got nothing."),
        ({"rsi_period": "2.5"}, "Expected 2 to 50, got 2.5."),
        ({"size": "0"}, "got 0."),
        ({"sizing": "FIXED_QUANTITY", "size": "2.5"}, "got 2.5."),
        ({"mode": "SIP"}, "SIP buys a fixed amount: choose rupees."),
        ({"mode": "GAMBLE"}, "GAMBLE is not one of the available choices."),
        ({"daily_loss": "much"}, "Expected 1 to 10,00,00,00,00,000, or off, got much."),
        ({"flatten_at_daily_loss": "on"}, "Expected off, or a daily loss limit with it, got on."),
        ({"capital": "5"}, "Expected ₹1,000 to ₹1,00,00,00,000, got 5."),
        ({"version": "7"}, "Somebody saved another version"),
    ],
)
def test_wrong_answer_is_named_and_kept_and_saves_nothing(owner, world, changes, words) -> None:
    response = save(owner, **{"trailing_stop_percent": "7.25", **changes})

    page = response.content.decode().replace("&#x27;", "'")
    assert response.status_code == 422
    assert words in page
    assert 'value="7.25"' in page
    assert bot_of(world).parameters.version == 1


def test_empty_box_switches_a_rule_off(owner, world) -> None:
    save(owner, stop_loss_percent="", sell_rsi="")

    assert (params_of(world).stop_loss_percent, params_of(world).sell_rsi) == (None, None)


def test_candles_of_the_simulated_market_are_offered_there_only(owner, world) -> None:
    assert 'value="15s"' in owner.get(STRATEGY).content.decode()

    with tenant_scope(world.account.tenant_id):
        type(bot_of(world).connection).objects.update(venue="NSE")
    assert 'value="15s"' not in owner.get(STRATEGY).content.decode()


def test_share_whose_own_settings_would_contradict_is_named(owner, world) -> None:
    with tenant_scope(world.account.tenant_id):
        InstrumentConfig.objects.filter(instrument__tradingsymbol="SIMTEAK").update(overrides={"buy_rsi": "50"})

    response = save(owner, sell_rsi="45")

    assert "SIMTEAK has settings of its own that do not fit" in text_of(response)
    assert bot_of(world).parameters.version == 1


def test_money_and_stop_at_the_broker_are_audited(owner, world) -> None:
    save(owner, capital="60,000", keeps_stop_at_broker="on")

    with tenant_scope(world.account.tenant_id):
        entry = AuditEntry.objects.get(action="bot.terms_changed")
    assert (entry.data["capital"], entry.actor) == ("60000", f"user:{world.owner.pk}")


# --- what a change would do -------------------------------------------------------------------------------------------


def effects(owner, address: str = STRATEGY, **changes: object) -> str:
    page = owner.get(address).content.decode()
    return text_of(owner.post(address, form_of(page, **changes), **HTMX))


def test_effects_name_the_levels_that_move(owner, world) -> None:
    text = effects(owner, stop_loss_percent="2", profit_target_percent="")

    assert "Stop loss: 5% → 2%" in text
    assert "SIMLOTUS: its stop moves from ₹95.00 to ₹98.00." in text
    assert "SIMLOTUS: its target moves from ₹110.00 to none." in text
    assert bot_of(world).parameters.version == 1


def test_effects_warn_of_what_would_be_sold_at_once(owner, world) -> None:
    text = effects(owner, profit_target_percent="4")

    assert "SIMLOTUS would be sold at once: its last price of ₹104.25 is past the target." in text


def test_effects_warn_of_a_share_that_the_rsi_would_sell(owner, world, monkeypatch) -> None:
    from tests.engine.builders import a_reading

    readings = {world.account.instrument_ids[0]: a_reading(60.0)}
    monkeypatch.setattr("apps.web.selectors.instruments.indicator_readings", lambda *_: readings)

    text = effects(owner, sell_rsi="55")

    assert "SIMLOTUS would be sold with the next candle: its RSI of 60 is at or over 55." in text


def test_never_sell_at_a_loss_says_how_far_down_it_holds(owner, world) -> None:
    text = effects(owner, never_sell_at_loss="on")

    assert "ARUN will hold losses down to \u221220%, the catastrophic stop, which is separate." in text
    assert "SIMLOTUS: its stop moves from ₹95.00 to none." in text
    save(owner, never_sell_at_loss="on")
    assert text_of(owner.get(STRATEGY)).count("No effect while the bot never sells at a loss.") == 2


def test_hold_without_a_catastrophic_stop_is_said_plainly(owner, world) -> None:
    assert "hold losses without any bottom" in effects(owner, never_sell_at_loss="on", catastrophic_stop_percent="")


def test_share_that_keeps_its_own_is_named(owner, world) -> None:
    with tenant_scope(world.account.tenant_id):
        InstrumentConfig.objects.filter(instrument__tradingsymbol="SIMLOTUS").update(
            overrides={"stop_loss_percent": "1"}
        )

    text = effects(owner, stop_loss_percent="2", buy_rsi="30")

    assert "SIMLOTUS keeps its own stop loss." in text
    assert "SIMLOTUS: its stop moves" not in text


def test_new_candles_say_that_they_have_to_gather(owner, world) -> None:
    assert "each needs 100 of them first." in effects(owner, timeframe="1h")


def test_nothing_changed_is_said(owner, world) -> None:
    assert "Nothing yet." in effects(owner)


def test_faulty_form_asks_for_a_correction_first(owner, world) -> None:
    assert "needs a correction first" in effects(owner, buy_rsi="500")


def test_effects_are_shown_without_scripts_too(owner, world) -> None:
    response = save(owner, stop_loss_percent="2", do="effects")

    assert response.status_code == 200
    assert "SIMLOTUS: its stop moves from ₹95.00 to ₹98.00." in text_of(response)
    assert bot_of(world).parameters.version == 1


# --- presets and versions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", list(Preset))
def test_preset_decides_its_levels_and_leaves_the_rest(preset) -> None:
    mine = StrategyParams(size=Decimal(3), cooldown_candles=9, trailing_stop_percent=Decimal(4))

    made = preset_values(mine, preset)

    assert (made.size, made.cooldown_candles, made.trailing_stop_percent) == (Decimal(3), 9, Decimal(4))
    assert made.stop_loss_percent == PRESETS[preset].stop_loss_percent
    assert made.never_sell_at_loss == PRESETS[preset].never_sell_at_loss


def test_preset_fills_the_form_and_saves_nothing(owner, world) -> None:
    response = owner.get(f"{STRATEGY}?preset=ACCUMULATOR")

    page = response.content.decode()
    assert "The form is filled in with Accumulator. Nothing is saved yet." in text_of(response)
    assert re.search(r'name="buy_rsi" value="30"', page)
    assert "Buy at or under RSI: 35 → 30" in text_of(response)
    assert bot_of(world).parameters.version == 1
    assert owner.get(f"{STRATEGY}?preset=RECKLESS").status_code == 404


def test_earlier_version_comes_back_as_a_new_one(owner, world) -> None:
    save(owner, stop_loss_percent="2", capital="80,000")
    save(owner, stop_loss_percent="9", buy_rsi="20", capital="90,000")
    with tenant_scope(world.account.tenant_id):
        second = ParameterSet.objects.get(version=2)

    looked = owner.get(f"{STRATEGY}?version={second.pk}")
    assert "The form is filled in with version 2. Nothing is saved yet." in text_of(looked)
    owner.post(STRATEGY, form_of(looked.content.decode()))

    bot = bot_of(world)
    assert bot.parameters.version == 4
    assert (params_of(world).stop_loss_percent, params_of(world).buy_rsi) == (Decimal(2), Decimal(35))
    assert bot.allocated_capital == Decimal(80_000)


@pytest.mark.parametrize("version", ["x", str(UUID(int=7))])
def test_version_that_is_none_is_not_found(owner, world, version) -> None:
    assert owner.get(f"{STRATEGY}?version={version}").status_code == 404
    assert owner.get(f"{ACCOUNT}?version={version}").status_code == 404


# --- the account ------------------------------------------------------------------------------------------------------


def test_account_limits_are_saved_in_versions(owner, world) -> None:
    assert "None yet" in text_of(owner.get(ACCOUNT))

    save(owner, ACCOUNT, daily_loss="5,000", max_open_positions="4")
    save(owner, ACCOUNT, daily_loss="4,000")

    with tenant_scope(world.account.tenant_id):
        rows = list(TenantLimits.objects.order_by("version"))
    assert [row.limits["daily_loss"] for row in rows] == ["5000", "4000"]
    text = text_of(owner.get(ACCOUNT))
    assert "Loss in a day: ₹5,000 → ₹4,000" in text
    assert "Version 2 in force" in text


def test_account_limit_out_of_its_range_is_named(owner, world) -> None:
    response = save(owner, ACCOUNT, max_open_positions="0", trade_cap="5")

    assert response.status_code == 422
    assert "Expected 1 to 1,000, or off, got 0." in text_of(response)
    with tenant_scope(world.account.tenant_id):
        assert TenantLimits.objects.count() == 0


def test_account_effects_say_what_counts_from_when(owner, world) -> None:
    text = effects(owner, ACCOUNT, daily_loss="5,000")

    assert "Loss in a day: off → ₹5,000" in text
    assert "The next look of every bot counts by them." in text


def test_old_form_of_the_account_is_refused(owner, world) -> None:
    page = owner.get(ACCOUNT).content.decode()
    save(owner, ACCOUNT, daily_loss="5,000")

    response = owner.post(ACCOUNT, form_of(page, daily_loss="6,000"))

    assert (response.status_code, "Somebody changed these limits" in text_of(response)) == (422, True)


def test_stricter_limit_of_the_account_stands_beside_the_bots_own(owner, world) -> None:
    with tenant_scope(world.account.tenant_id):
        limits = RiskLimits(capital=Decimal(20_000), trade_cap=Decimal(3000))
        tenant_limits_change(limits=limits, shown_version=0, actor="user:test")

    text = text_of(owner.get(STRATEGY))

    assert "The account allows ₹3,000." in text
    assert "All bots together may have ₹20,000.00 at work" in text


def test_strangers_account_is_its_own(owner, stranger, world) -> None:
    save(owner, ACCOUNT, daily_loss="5,000")
    with tenant_scope(world.account.tenant_id):
        version = TenantLimits.objects.get().pk

    assert "None yet" in text_of(stranger.get(ACCOUNT))
    assert stranger.get(f"{ACCOUNT}?version={version}").status_code == 404
