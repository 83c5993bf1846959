"""A report is read, kept, and saved exactly as it was shown."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from apps.common import audit
from apps.common.db import tenant_scope
from apps.common.models import AuditEntry
from apps.engine.model.choices import Timeframe
from apps.engine.model.params import RiskLimits, StrategyParams
from apps.market.models import FormerSymbol, Instrument
from apps.trading.errors import ImportRefusedError
from apps.trading.models import Bot, InstrumentConfig, InstrumentImport, InstrumentVersion
from apps.trading.services.bots import bot_create
from apps.trading.services.instrument_import import (
    KEEP,
    ImportReport,
    import_keep,
    import_read,
    import_save,
    refused_csv,
    report_from_json,
    report_to_json,
    shares_csv,
    target_of,
)
from apps.trading.share_rows import Target, TargetBot, Verdict
from tests.kit.clock import FakeClock
from tests.trading.shares.conftest import actor_of, bot_of

MIXED = """\
Symbol,Exchange,Buy RSI,Sell RSI,Quantity,Colour
SIMALPHA,SIM,30,65,5,red
simgamma,SIM,,999,,
NOSUCH,SIM,30,,,
SIMDELTA,SIM,120,,,=1+1
"""


def read(tenant, text: str = MIXED, name: str = "shares.csv") -> ImportReport:
    return import_read(text.encode(), file_name=name, target=target_of(bot_of(tenant)))


def keep(tenant, text: str = MIXED) -> InstrumentImport:
    return import_keep(report=read(tenant, text), bot=bot_of(tenant), actor=actor_of(tenant))


def watched() -> dict[str, tuple[bool, dict, int]]:
    return {
        config.instrument.tradingsymbol: (config.is_enabled, config.overrides, config.settings_version)
        for config in InstrumentConfig.objects.select_related("instrument")
    }


def test_report_tells_line_by_line(in_scope) -> None:
    report = read(in_scope)

    assert [(row.line, row.verdict.value, row.effect and row.effect.value) for row in report.rows] == [
        (2, "ACCEPTED", "CHANGE"),
        (3, "CORRECTED", "ADD"),
        (4, "REFUSED", None),
        (5, "REFUSED", None),
    ]
    assert (report.ignored, report.is_desktop, report.encoding) == (("Colour",), False, "UTF-8")
    assert (len(report.accepted), len(report.corrected), len(report.refused), len(report.savable)) == (1, 1, 2, 2)


def test_reading_saves_nothing(in_scope) -> None:
    before = watched()

    keep(in_scope)

    assert watched() == before


def test_saving_writes_what_was_shown_and_nothing_of_a_refused_line(in_scope) -> None:
    kept = keep(in_scope)

    result = import_save(import_id=kept.pk, actor=actor_of(in_scope))

    assert (result.added, result.changed, result.same, result.refused) == (1, 1, 0, ())
    assert watched() == {
        "SIMALPHA": (True, {"buy_rsi": "30", "sell_rsi": "65", "sizing": "FIXED_QUANTITY", "size": "5"}, 1),
        "SIMBETA": (True, {}, 0),
        "SIMGAMMA": (True, {"sell_rsi": None}, 1),
    }


def test_saving_twice_does_it_once(in_scope) -> None:
    kept = keep(in_scope)

    first = import_save(import_id=kept.pk, actor=actor_of(in_scope))
    again = import_save(import_id=kept.pk, actor=actor_of(in_scope))

    assert first == again
    assert InstrumentVersion.objects.count() == 2
    assert AuditEntry.objects.filter(action="instruments.imported").count() == 1


def test_same_file_uploaded_twice_changes_nothing(in_scope) -> None:
    import_save(import_id=keep(in_scope).pk, actor=actor_of(in_scope))
    after_first = watched()

    result = import_save(import_id=keep(in_scope).pk, actor=actor_of(in_scope))

    assert (result.added, result.changed, result.same) == (0, 0, 2)
    assert watched() == after_first
    assert InstrumentVersion.objects.count() == 2


def test_saving_is_in_the_audit_log_with_its_file_and_shares(in_scope) -> None:
    kept = keep(in_scope)
    import_save(import_id=kept.pk, actor=actor_of(in_scope))

    imported = AuditEntry.objects.get(action="instruments.imported")
    saved = AuditEntry.objects.get(action="instruments.saved")
    assert imported.actor == saved.actor == actor_of(in_scope)
    assert (imported.data["file"], imported.data["added"], imported.data["import"]) == ("shares.csv", 1, str(kept.pk))
    assert {share["symbol"] for share in saved.data["shares"]} == {"SIMALPHA", "SIMGAMMA"}


def test_report_that_expired_is_not_saved_and_goes_with_the_next_upload(in_scope, clock: FakeClock) -> None:
    kept = keep(in_scope)
    clock.set(clock.at + KEEP)

    with pytest.raises(ImportRefusedError, match="Upload the file again"):
        import_save(import_id=kept.pk, actor=actor_of(in_scope))
    clock.advance(seconds=1)
    keep(in_scope)

    assert set(watched()) == {"SIMALPHA", "SIMBETA"}
    assert not InstrumentImport.objects.filter(pk=kept.pk).exists()


def test_place_that_was_taken_meanwhile_is_named_and_the_others_are_saved(in_scope, plan) -> None:
    plan.max_instruments = 3
    kept = keep(in_scope, "Symbol,Buy RSI\nSIMALPHA,30\nSIMGAMMA,\n")
    import_save(import_id=keep(in_scope, "Symbol\nSIMDELTA\n").pk, actor=actor_of(in_scope))

    result = import_save(import_id=kept.pk, actor=actor_of(in_scope))

    assert (result.added, result.changed) == (0, 1)
    assert result.refused == ((3, "Expected at most 3 shares, which your plan allows; SIMGAMMA would be one more."),)
    assert set(watched()) == {"SIMALPHA", "SIMBETA", "SIMDELTA"}


def test_plans_places_count_the_shares_of_all_bots(in_scope, plan) -> None:
    plan.max_instruments = 3

    verdicts = [row.verdict for row in read(in_scope, "Symbol\nSIMALPHA\nSIMGAMMA\nSIMDELTA\n").rows]

    assert verdicts == [Verdict.ACCEPTED, Verdict.ACCEPTED, Verdict.REFUSED]


def test_line_for_another_timeframe_goes_to_that_bot(in_scope) -> None:
    hourly = bot_create(
        connection=bot_of(in_scope).connection,
        name="Hourly",
        params=StrategyParams(timeframe=Timeframe.H1),
        limits=RiskLimits(),
        allocated_capital=Decimal(1000),
        instrument_ids=[],
        actor=actor_of(in_scope),
    )

    kept = keep(in_scope, "Symbol,Timeframe\nSIMGAMMA,1h\nSIMDELTA,15m\n")
    import_save(import_id=kept.pk, actor=actor_of(in_scope))

    bots = dict(InstrumentConfig.objects.values_list("instrument__tradingsymbol", "bot__name"))
    assert (bots["SIMGAMMA"], bots["SIMDELTA"]) == ("Hourly", "Bot")
    assert hourly.pk in InstrumentVersion.objects.values_list("bot_id", flat=True)


def test_report_may_be_read_before_its_bot_is_made(asha) -> None:
    target = Target(bot=TargetBot(id=None, name="New", params=StrategyParams()), venue="SIM", places_left=3)
    report = import_read(MIXED.encode(), file_name="x.csv", target=target)

    with tenant_scope(asha.tenant_id):
        kept = import_keep(report=report, bot=None, actor=actor_of(asha))
        with pytest.raises(ImportRefusedError, match="no bot yet"):
            import_save(import_id=kept.pk, actor=actor_of(asha))
        result = import_save(import_id=kept.pk, actor=actor_of(asha), bot=bot_of(asha))

    assert (result.added, result.changed) == (1, 1)


def test_report_survives_its_json_whole(in_scope) -> None:
    report = read(in_scope)

    assert report_from_json(InstrumentImport.objects.get(pk=keep(in_scope).pk).report) == report
    assert report_from_json(report_to_json(report)) == report


def test_name_of_the_file_loses_its_path(in_scope) -> None:
    assert read(in_scope, name="C:\\Users\\me\\my shares.csv").file_name == "my shares.csv"
    assert read(in_scope, name="/").file_name == "file"


def test_refused_lines_come_back_with_their_reason_and_without_formulas(in_scope) -> None:
    text = refused_csv(read(in_scope))

    lines = text.splitlines()
    assert lines[0] == "Symbol,Exchange,Buy RSI,Sell RSI,Quantity,Colour,Reason"
    assert lines[1].startswith("NOSUCH,SIM,30,,,,")
    assert lines[2].startswith("SIMDELTA,SIM,120,,,'=1+1,")
    assert "expected a number with at most 4 decimals from 1 to 99" in lines[2]


def test_refused_lines_that_were_mended_are_accepted(in_scope) -> None:
    mended = refused_csv(read(in_scope)).replace("120", "20").replace("NOSUCH", "SIMEPSILON")

    report = read(in_scope, mended)

    assert [row.verdict for row in report.rows] == [Verdict.ACCEPTED, Verdict.ACCEPTED]
    assert report.titles[-1] == "Reason"
    assert report.ignored == ("Colour",)


def test_reason_column_is_not_doubled(in_scope) -> None:
    again = refused_csv(read(in_scope, refused_csv(read(in_scope))))

    assert again.splitlines()[0].count("Reason") == 1


def test_similar_symbol_is_offered(in_scope) -> None:
    (row,) = read(in_scope, "Symbol\nSIMALHPA\n").rows

    assert "did you mean SIMALPHA?" in row.refusals[0]


def test_another_tenants_report_cannot_be_saved(asha, ravi) -> None:
    with tenant_scope(asha.tenant_id):
        kept = keep(asha)

    with tenant_scope(ravi.tenant_id), pytest.raises(InstrumentImport.DoesNotExist):
        import_save(import_id=kept.pk, actor=actor_of(ravi))

    with tenant_scope(asha.tenant_id):
        assert set(watched()) == {"SIMALPHA", "SIMBETA"}


def test_long_file_is_read_whole_and_saved_in_few_statements(in_scope, plan) -> None:
    plan.max_instruments = None
    Instrument.objects.bulk_create(
        Instrument(
            exchange="SIM",
            tradingsymbol=f"SIMX{number}",
            name=f"Share {number}",
            kind="EQ",
            tick_size=Decimal("0.05"),
            feed="simulated",
            is_simulated=True,
        )
        for number in range(500)
    )
    lines = [f"SIMX{number},SIM,{30 + number % 5},999,5" for number in range(500)]
    lines += [f"WRONG{number},SIM,30,,5" for number in range(500)]
    text = "Symbol,Exchange,Buy RSI,Sell RSI,Quantity\n" + "\n".join(lines)

    report = read(in_scope, text)
    kept = import_keep(report=report, bot=bot_of(in_scope), actor=actor_of(in_scope))
    with CaptureQueriesContext(database) as captured:
        result = import_save(import_id=kept.pk, actor=actor_of(in_scope))

    assert (len(report.corrected), len(report.refused), result.added) == (500, 500, 500)
    assert len(captured) < 60


def test_actor_of_the_version_is_the_person(in_scope) -> None:
    import_save(import_id=keep(in_scope).pk, actor=actor_of(in_scope))

    assert set(InstrumentVersion.objects.values_list("created_by", flat=True)) == {actor_of(in_scope)}
    assert audit.user_actor(in_scope.user_id) == actor_of(in_scope)
    assert Bot.objects.count() == 1


def test_shares_that_were_downloaded_change_nothing_when_they_come_back(in_scope) -> None:
    text = (
        "Symbol,Enabled,Strategy,Buy RSI,Sell RSI,Stop Loss %,Quantity,Amount,% of Capital,Trade Cap,Cooldown\n"
        "SIMALPHA,no,INVEST,30,off,2.5,5,,,,\n"
        'SIMBETA,yes,,,,,,"25,000",,9000,3\n'
        "SIMGAMMA,,,,,off,,,12.5,,\n"
    )
    import_save(import_id=keep(in_scope, text).pk, actor=actor_of(in_scope))
    before = watched()

    report = read(in_scope, shares_csv(bot_of(in_scope)))
    result = import_save(import_id=keep(in_scope, shares_csv(bot_of(in_scope))).pk, actor=actor_of(in_scope))

    assert {row.verdict for row in report.rows} == {Verdict.ACCEPTED}
    assert (result.added, result.changed, result.same) == (0, 0, 3)
    assert watched() == before


def test_share_is_found_by_the_symbol_it_had(in_scope) -> None:
    share = Instrument.objects.get(tradingsymbol="SIMGAMMA")
    for symbol, until in (("SIMOLD", date(2024, 5, 1)), ("SIMALPHA", date(2023, 1, 1))):
        FormerSymbol.objects.create(
            instrument=share, exchange="SIM", tradingsymbol=symbol, valid_to=until, source="test"
        )

    old, present = read(in_scope, "Symbol\nSIMOLD\nSIMALPHA\n").rows

    assert (old.verdict, old.tradingsymbol) == (Verdict.CORRECTED, "SIMGAMMA")
    assert old.corrections == ("Symbol: SIMOLD became SIMGAMMA (its name changed).",)
    assert (present.verdict, present.tradingsymbol) == (Verdict.ACCEPTED, "SIMALPHA")
