"""The set-up's writes: steps in their order, one bot however often somebody presses, and nobody else's rows."""

import threading
from dataclasses import asdict
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import DatabaseError
from django.db import connection as database

from apps.brokers.choices import Venue
from apps.brokers.models import BrokerConnection
from apps.common.db import tenant_scope
from apps.common.errors import ArunError
from apps.engine.model.choices import RunLevel
from apps.onboarding import services
from apps.onboarding.choices import Step
from apps.onboarding.errors import SetupDoneError, SetupRefusedError, StepOrderError
from apps.onboarding.models import SetupDraft
from apps.onboarding.selectors import draft_now, packs_offered, progress_of, shares_found, shares_of
from apps.tenants.models import Acknowledgement, Tenant
from apps.tenants.selectors import memberships_of_user, text_digest
from apps.trading.models import Bot, InstrumentConfig, InstrumentImport, StopRequest
from apps.trading.selectors import run_level
from apps.trading.services.instrument_import import import_read
from apps.trading.share_rows import Target, TargetBot
from tests.kit.factories.people import make_user
from tests.kit.factories.trading import make_instrument, make_trading_tenant
from tests.onboarding.builders import SYMBOLS, Account, a_plan, agreed, answers, at_shares, begun, offer_shares


@pytest.fixture
def offered(db) -> list:
    return offer_shares()


def report_on(text: str, *, places: int | None = 3):
    target = Target(bot=TargetBot(id=None, name="Bot", params=a_plan().params("SIM")), venue="SIM", places_left=places)
    return import_read(text.encode(), file_name="list.csv", target=target)


# --- step 1 -----------------------------------------------------------------------------------------------------------


def test_first_answer_makes_tenant_connection_and_draft(offered) -> None:
    account = begun()

    (place,) = memberships_of_user(account.user.pk)
    assert (place.tenant_name, place.role) == ("Rao family", "owner")
    with account.scope():
        draft, connection = SetupDraft.objects.get(), BrokerConnection.objects.get()
        assert (draft.open_step, draft.connection_id) == (Step.LIMITS, connection.pk)
        assert (connection.venue, connection.opening_cash) == ("SIM", Decimal(100_000))
        assert not Bot.objects.exists()


def test_answering_the_first_step_again_changes_the_same_account(offered) -> None:
    account = begun()

    services.broker_save(
        user_id=account.user.pk,
        tenant_id=account.tenant_id,
        answers=answers(name="Rao and sons", opening_cash=Decimal(50_000)),
    )

    assert len(memberships_of_user(account.user.pk)) == 1
    with account.scope():
        assert Tenant.objects.get().name == "Rao and sons"
        assert BrokerConnection.objects.get().opening_cash == Decimal(50_000)


def test_less_money_than_the_plan_uses_opens_the_second_step_again(offered) -> None:
    account = at_shares()

    services.broker_save(
        user_id=account.user.pk, tenant_id=account.tenant_id, answers=answers(opening_cash=Decimal(20_000))
    )

    with account.scope():
        draft = draft_now()
        assert (draft.open_step, draft.acknowledgement) == (Step.LIMITS, None)
        with pytest.raises(StepOrderError):
            services.setup_finish(user_id=account.user.pk)


def test_person_of_a_team_gets_an_account_of_their_own(offered) -> None:
    """Nobody's first answer changes the account of somebody who let them in."""
    other = begun()
    helper = make_user()
    with other.scope():
        from apps.tenants.services import membership_add

        membership_add(user_id=helper.pk, role="viewer", actor="process:tests")

    made = services.broker_save(user_id=helper.pk, tenant_id=None, answers=answers(name="Own"))

    assert made != other.tenant_id


# --- order of the steps -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        lambda account: services.limits_save(user_id=account.user.pk, plan=a_plan(), agreed=agreed()),
        lambda account: services.shares_change(add=[uuid4()]),
        lambda account: services.file_use(is_used=True),
        lambda account: services.typed_save(step=Step.LIMITS, typed={"capital": "1"}),
        lambda account: services.setup_finish(user_id=account.user.pk),
    ],
)
def test_answer_before_the_first_step_is_refused(db, answer) -> None:
    user = make_user()
    from apps.tenants.services import tenant_create

    account = Account(user=user, tenant_id=tenant_create(user_id=user.pk, name="Empty").pk)

    with account.scope(), pytest.raises(StepOrderError) as refused:
        answer(account)

    assert refused.value.step is Step.BROKER
    with account.scope():
        assert not SetupDraft.objects.exists()
        assert not Acknowledgement.objects.exists()


@pytest.mark.parametrize(
    "answer",
    [
        lambda account, offered: services.shares_change(add=offered[:1]),
        lambda account, offered: services.file_keep(report=report_on("Symbol\nSIMALPHA\n"), actor="user:x"),
        lambda account, offered: services.setup_finish(user_id=account.user.pk),
    ],
)
def test_answer_to_the_third_step_before_the_second_is_refused(offered, answer) -> None:
    account = begun()

    with account.scope(), pytest.raises(StepOrderError) as refused:
        answer(account, offered)

    assert refused.value.step is Step.LIMITS
    with account.scope():
        draft = draft_now()
        assert (draft.share_ids, draft.import_id, draft.bot_id) == ({}, None, None)
        assert not Bot.objects.exists()


def test_answers_after_the_end_are_refused(offered) -> None:
    account = at_shares()
    with account.scope():
        services.setup_finish(user_id=account.user.pk)
        with pytest.raises(SetupDoneError):
            services.limits_save(user_id=account.user.pk, plan=a_plan(capital="1000"), agreed=agreed("other"))
        with pytest.raises(SetupDoneError):
            services.shares_change(remove=shares_of(draft_now()))
        with pytest.raises(SetupDoneError):
            services.typed_save(step=Step.LIMITS, typed={"capital": "1"})

        assert Acknowledgement.objects.count() == 1


# --- step 2 -----------------------------------------------------------------------------------------------------------


def test_agreement_is_kept_word_for_word_with_its_version(offered) -> None:
    account = begun()
    text = "At most ₹2,500.00 in one share."

    with account.scope():
        services.limits_save(user_id=account.user.pk, plan=a_plan(), agreed=agreed(text))

        kept = Acknowledgement.objects.get()
        assert (kept.text, kept.version, kept.user_id) == (text, 2, account.user.pk)
        assert kept.text_hash == text_digest(text)
        assert draft_now().acknowledgement_id == kept.pk


def test_same_answers_twice_are_agreed_to_once_and_other_numbers_again(offered) -> None:
    account = begun()

    with account.scope():
        for text in ("one", "one", "two"):
            services.limits_save(user_id=account.user.pk, plan=a_plan(), agreed=agreed(text))

        assert list(Acknowledgement.objects.order_by("pk").values_list("text", flat=True)) == ["one", "two"]
        assert draft_now().acknowledgement.text == "two"


def test_more_money_than_the_account_holds_is_refused(offered) -> None:
    account = begun()

    with account.scope(), pytest.raises(SetupRefusedError):
        services.limits_save(user_id=account.user.pk, plan=a_plan(capital="100001"), agreed=agreed())

    with account.scope():
        assert not Acknowledgement.objects.exists()


def test_first_pack_is_chosen_for_a_newcomer_and_not_again(offered) -> None:
    account = at_shares()
    with account.scope():
        first = shares_of(draft_now())
        services.shares_change(remove=first)

        services.limits_save(user_id=account.user.pk, plan=a_plan(), agreed=agreed())

        assert list(first) == offered[:3]
        assert shares_of(draft_now()) == ()


# --- step 3 -----------------------------------------------------------------------------------------------------------


def test_share_is_added_once_and_removed(offered) -> None:
    account = at_shares()
    with account.scope():
        services.shares_change(remove=offered[:3])
        assert services.shares_change(add=[offered[4], offered[4]]) == (offered[4],)
        assert services.shares_change(add=[offered[4]]) == ()
        assert shares_of(draft_now()) == (offered[4],)

        services.shares_change(add=[offered[3]], remove=[offered[4]])

        assert shares_of(draft_now()) == (offered[3],)


def test_one_more_share_than_the_plan_allows_is_refused_whole(offered) -> None:
    account = at_shares()
    with account.scope():
        services.shares_change(remove=offered[:1])

        with pytest.raises(SetupRefusedError, match="up to 3 shares; this would be 4"):
            services.shares_change(add=offered[3:])

        assert shares_of(draft_now()) == tuple(offered[1:3])


@pytest.mark.parametrize("kind", ["nobody's", "real", "index", "gone"])
def test_share_that_is_not_offered_is_refused(offered, kind) -> None:
    from apps.market.models import Instrument

    made = {
        "nobody's": uuid4,
        "real": lambda: (
            Instrument.objects.create(
                exchange="NSE", tradingsymbol="REAL", name="Real", kind="EQ", tick_size=Decimal("0.05"), feed="replay"
            ).pk
        ),
        "index": lambda: _changed(kind="INDEX"),
        "gone": lambda: _changed(is_active=False),
    }[kind]()
    account = at_shares()

    with account.scope():
        services.shares_change(remove=offered[:3])
        with pytest.raises(SetupRefusedError):
            services.shares_change(add=[made])

        assert shares_of(draft_now()) == ()


def _changed(**changes: object):
    share = make_instrument("SIMZED")
    type(share).objects.filter(pk=share.pk).update(**changes)
    return share.pk


def test_choice_of_one_market_is_kept_while_another_is_looked_at(offered) -> None:
    account = at_shares()

    for venue in (Venue.NSE, Venue.SIM):
        services.broker_save(user_id=account.user.pk, tenant_id=account.tenant_id, answers=answers(venue=venue))
        with account.scope():
            chosen = shares_of(draft_now())
        assert chosen == (() if venue is Venue.NSE else tuple(offered[:3]))


# --- an uploaded list -------------------------------------------------------------------------------------------------

LIST = "Symbol,Quantity\nSIMDELTA,5\nNOSUCH,5\nSIMEPSILON,abc\n"


def test_list_watches_nothing_before_somebody_says_so(offered) -> None:
    account = at_shares()
    with account.scope():
        services.shares_change(remove=offered[:1])
        services.file_keep(report=report_on(LIST), actor="user:x")

        bot = services.setup_finish(user_id=account.user.pk)

        assert set(InstrumentConfig.objects.values_list("instrument_id", flat=True)) == set(offered[1:3])
        assert InstrumentConfig.objects.filter(bot=bot).count() == 2


def test_good_rows_are_saved_and_refused_rows_save_nothing(offered) -> None:
    account = at_shares()
    with account.scope():
        services.shares_change(remove=offered[:2])
        report = report_on(LIST)
        services.file_keep(report=report, actor="user:x")
        services.file_use(is_used=True)

        services.setup_finish(user_id=account.user.pk)

        assert [(row.line, row.verdict.value) for row in report.rows] == [
            (2, "ACCEPTED"),
            (3, "REFUSED"),
            (4, "REFUSED"),
        ]
        saved = {row.instrument_id: row for row in InstrumentConfig.objects.all()}
        assert set(saved) == {offered[2], offered[3]}
        assert saved[offered[3]].overrides != {}
        assert InstrumentImport.objects.get().result["added"] == 1


def test_list_that_goes_over_the_plan_is_refused_whole(offered) -> None:
    account = at_shares()
    with account.scope():
        services.file_keep(report=report_on("Symbol\nSIMDELTA\n"), actor="user:x")

        with pytest.raises(SetupRefusedError, match="this would be 4"):
            services.file_use(is_used=True)

        assert not draft_now().is_import_used


def test_share_in_the_list_and_chosen_counts_once(offered) -> None:
    account = at_shares()
    with account.scope():
        services.file_keep(report=report_on(f"Symbol\n{SYMBOLS[0]}\n"), actor="user:x")
        services.file_use(is_used=True)

        services.setup_finish(user_id=account.user.pk)

        assert InstrumentConfig.objects.count() == 3


def test_list_that_was_left_out_is_forgotten(offered) -> None:
    account = at_shares()
    with account.scope():
        services.file_keep(report=report_on("Symbol\nSIMDELTA\n"), actor="user:x")
        services.file_use(is_used=False)

        assert draft_now().import_id is None
        with pytest.raises(SetupRefusedError):
            services.file_use(is_used=True)


# --- the end ----------------------------------------------------------------------------------------------------------


def test_end_makes_a_stopped_bot_of_all_that_was_answered(offered) -> None:
    account = at_shares()
    with account.scope():
        bot = services.setup_finish(user_id=account.user.pk)

        bot = Bot.objects.select_related("connection", "parameters").get(pk=bot.pk)
        assert run_level(bot) is RunLevel.STOP
        assert bot.allocated_capital == Decimal(100_000)
        assert bot.parameters.params["stop_loss_percent"] == "3"
        assert bot.parameters.limits["daily_loss"] == "3000.00"
        assert bot.parameters.limits["max_open_positions"] == 5
        draft = draft_now()
        assert (draft.open_step, draft.bot_id) == (Step.FINISHED, bot.pk)
        assert draft.finished_at is not None


def test_end_without_a_share_is_refused(offered) -> None:
    account = at_shares()
    with account.scope():
        services.shares_change(remove=offered)

        with pytest.raises(SetupRefusedError, match="at least one share"):
            services.setup_finish(user_id=account.user.pk)

        assert not Bot.objects.exists()


def test_end_beyond_the_plans_bots_is_refused(offered) -> None:
    account = at_shares()
    with account.scope():
        trading = make_bot_beside(account)

        with pytest.raises(SetupRefusedError, match="runs 1 bot"):
            services.setup_finish(user_id=account.user.pk)

        assert list(Bot.objects.values_list("pk", flat=True)) == [trading]


def make_bot_beside(account: Account):
    from apps.trading.services.bots import bot_create

    return bot_create(
        connection=BrokerConnection.objects.get(),
        name="Other",
        params=a_plan().params("SIM"),
        limits=a_plan().limits(),
        allocated_capital=Decimal(1000),
        instrument_ids=[],
        actor="user:x",
    ).pk


def test_finishing_again_returns_the_same_bot(offered) -> None:
    account = at_shares()
    with account.scope():
        assert services.setup_finish(user_id=account.user.pk) == services.setup_finish(user_id=account.user.pk)
        assert Bot.objects.count() == 1


def rivals(count: int, press) -> list[object]:
    """Press from this many threads at the same moment; return what came of each press."""
    found: list[object] = []
    gate = threading.Barrier(count)

    def one() -> None:
        gate.wait()
        try:
            found.append(press())
        except (DatabaseError, ArunError) as error:
            found.append(error)
        finally:
            database.close()

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_fifty_at_once_make_one_bot(committed_db, valkey) -> None:
    offer_shares()
    account = at_shares()

    def press():
        with account.scope():
            return services.setup_finish(user_id=account.user.pk).pk

    found = rivals(50, press)

    assert len(found) == 50
    assert len(set(found)) == 1, found
    with account.scope():
        assert Bot.objects.count() == 1
        assert InstrumentConfig.objects.count() == 3
        assert StopRequest.objects.count() == 1


def test_twenty_first_answers_at_once_make_one_account(committed_db, valkey) -> None:
    user = make_user()

    found = rivals(20, lambda: services.broker_save(user_id=user.pk, tenant_id=None, answers=answers()))

    assert len(set(found)) == 1, found
    assert len(memberships_of_user(user.pk)) == 1
    with tenant_scope(found[0]):
        assert (SetupDraft.objects.count(), BrokerConnection.objects.count()) == (1, 1)


# --- what was typed, what is missing ----------------------------------------------------------------------------------


def test_what_was_typed_is_kept_as_it_was_within_bounds(offered) -> None:
    account = begun()
    with account.scope():
        services.typed_save(
            step=Step.LIMITS, typed={"capital": "plenty", "x": "y" * 5000, **dict.fromkeys(map(str, range(99)), "1")}
        )

        kept = draft_now().typed["LIMITS"]
        assert kept["capital"] == "plenty"
        assert (len(kept["x"]), len(kept)) == (200, 40)


def test_draft_of_another_tenant_does_not_exist(offered) -> None:
    mine, other = at_shares(), at_shares()

    with other.scope():
        services.shares_change(remove=offered[:3])

    with mine.scope():
        assert SetupDraft.objects.count() == 1
        assert shares_of(draft_now()) == tuple(offered[:3])


def test_progress_says_what_is_missing(offered) -> None:
    account = begun()
    with account.scope():
        early = asdict(progress_of(account.user.pk))
        services.limits_save(user_id=account.user.pk, plan=a_plan(), agreed=agreed())
        services.setup_finish(user_id=account.user.pk)
        late = progress_of(account.user.pk)

    assert {name for name, value in early.items() if value is False} >= {"has_limits", "has_acknowledged", "has_shares"}
    assert (late.has_limits, late.has_acknowledged, late.has_shares, late.has_started) == (True, True, True, False)
    assert not late.is_done


def test_progress_is_done_after_the_start_and_a_word_on_the_second_factor(offered) -> None:
    from apps.trading.models import RunControl
    from apps.trading.services.stops import stop_request

    account = at_shares()
    with account.scope():
        bot = services.setup_finish(user_id=account.user.pk)
        stop_request(
            scope=RunControl.Scope.BOT, scope_id=bot.pk, level=RunLevel.RUNNING, request_id=uuid4(), actor="user:x"
        )
        assert not progress_of(account.user.pk).is_done

        services.second_factor_asked()

        assert progress_of(account.user.pk).is_done


def test_account_that_was_made_otherwise_has_no_progress(db) -> None:
    trading = make_trading_tenant()

    with tenant_scope(trading.tenant_id):
        assert progress_of(trading.user_id) is None


# --- what is offered --------------------------------------------------------------------------------------------------


def test_search_finds_what_can_be_chosen(offered) -> None:
    from apps.market.models import Instrument

    assert [share.tradingsymbol for share in shares_found("SIM", "simb", limit=8)] == ["SIMBETA"]
    assert len(shares_found("SIM", "SIM", limit=2)) == 2
    assert shares_found("SIM", "  ", limit=8) == ()
    assert shares_found("NSE", "simb", limit=8) == ()

    Instrument.objects.filter(tradingsymbol="SIMBETA").update(feed="none")

    assert shares_found("SIM", "simb", limit=8) == ()


def test_packs_hold_only_what_is_offered(db) -> None:
    assert packs_offered("SIM") == ()
    offer_shares("SIMALPHA", "SIMBETA")

    (pack,) = packs_offered("SIM")
    assert [share.tradingsymbol for share in pack.instruments] == ["SIMALPHA", "SIMBETA"]
    assert packs_offered("NSE") == ()
