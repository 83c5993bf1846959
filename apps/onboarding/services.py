"""Every write of the set-up. Each locks the account's one draft first, so that parallel answers come one after another.

Steps are taken in their order: an answer to a step that is not open yet raises StepOrderError and keeps nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.brokers.choices import Venue
from apps.brokers.models import BrokerConnection
from apps.brokers.services import connection_create, paper_connection_change
from apps.common import clock
from apps.common.audit import user_actor
from apps.common.db import require_tenant_id, tenant_scope
from apps.onboarding.choices import Step
from apps.onboarding.errors import SetupDoneError, SetupRefusedError, StepOrderError
from apps.onboarding.models import SetupDraft
from apps.onboarding.plan import RiskPlan
from apps.onboarding.selectors import offered, packs_offered, report_of, shares_of
from apps.subscriptions.selectors import limits_now
from apps.tenants.models import Membership
from apps.tenants.selectors import memberships_of_user
from apps.tenants.services import acknowledgement_add, tenant_create, tenant_rename
from apps.trading.models import Bot
from apps.trading.services.bots import bot_create
from apps.trading.services.instrument_import import ImportReport, import_keep, import_save

FIRST_BOT = "My first bot"
LONGEST_TYPED = 200
MOST_TYPED = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAnswers:
    """The answers to the first step: the account's name, the market, and the paper money in rupees."""

    name: str
    venue: Venue
    opening_cash: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What a person agreed to: the words, and the version of their wording."""

    text_key: str
    version: int
    text: str


def broker_save(*, user_id: UUID, tenant_id: UUID | None, answers: BrokerAnswers) -> UUID:
    """Keep the first step's answers and return the tenant, which this makes for a person who has none.

    Sending the form twice makes one account: the person's row is locked meanwhile.
    """
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user_id)
        tenant = tenant_id or _own_tenant(user_id, answers.name)
        with tenant_scope(tenant):
            draft = _draft_lock(make=True)
            tenant_rename(name=answers.name, actor=user_actor(user_id))
            draft.connection = _connection(draft, answers, user_actor(user_id))
            draft.step = max(draft.step, Step.LIMITS)
            if draft.plan is not None and RiskPlan.from_json(draft.plan).capital > answers.opening_cash:
                # More money than the account has now: the second step is open again, and so is what was agreed to.
                draft.step, draft.acknowledgement = Step.LIMITS, None
            if draft.step > Step.LIMITS:
                _choose_first(draft, draft.connection.venue)
            draft.save()
        return tenant


def limits_save(*, user_id: UUID, plan: RiskPlan, agreed: Agreed) -> None:
    """Keep the second step's plan, and the person's agreement to the words that go with it."""
    draft = _draft_lock(at_least=Step.LIMITS)
    connection = _connection_of(draft)
    if plan.capital > connection.opening_cash:
        raise SetupRefusedError("The bot cannot use more money than the account holds.")
    plan.params(connection.venue), plan.limits()
    draft.acknowledgement = acknowledgement_add(
        user_id=user_id, text_key=agreed.text_key, version=agreed.version, text=agreed.text
    )
    draft.plan = plan.to_json()
    draft.step = max(draft.step, Step.SHARES)
    _choose_first(draft, connection.venue)
    draft.save()


def _choose_first(draft: SetupDraft, venue: str) -> None:
    """Choose the first pack for somebody who has not chosen anything on this market, as far as the plan allows."""
    packs = packs_offered(venue)
    if packs and venue not in draft.share_ids:
        first = packs[0].instruments[: limits_now().max_instruments]
        draft.share_ids = {**draft.share_ids, venue: [str(share.pk) for share in first]}


def shares_change(*, add: Iterable[UUID] = (), remove: Iterable[UUID] = ()) -> tuple[UUID, ...]:
    """Choose shares and drop others; return what was added.

    Raises SetupRefusedError, and changes nothing, for a share that is not offered or one more than the plan allows.
    """
    draft = _draft_lock(at_least=Step.SHARES)
    chosen = [pk for pk in shares_of(draft) if pk not in set(remove)]
    new = [pk for pk in dict.fromkeys(add) if pk not in chosen]
    connection = _connection_of(draft)
    if new and offered(connection.venue).filter(pk__in=new).count() != len(new):
        raise SetupRefusedError("This share is not offered here.")
    _require_places(len(chosen) + len(new))
    draft.share_ids = {**draft.share_ids, connection.venue: [str(pk) for pk in (*chosen, *new)]}
    draft.save(update_fields=["share_ids"])
    return tuple(new)


def file_keep(*, report: ImportReport, actor: str) -> None:
    """Keep the report on an uploaded list; nothing of it is watched before somebody says so."""
    draft = _draft_lock(at_least=Step.SHARES)
    draft.import_id = import_keep(report=report, bot=None, actor=actor).pk
    draft.is_import_used = False
    draft.save(update_fields=["import_id", "is_import_used"])


def file_use(*, is_used: bool) -> None:
    """Take the good rows of the uploaded list, or leave the list out and forget it."""
    draft = _draft_lock(at_least=Step.SHARES)
    report = report_of(draft)
    if is_used and (report is None or not report.savable):
        raise SetupRefusedError("There is no list with a row that could be used. Upload it again.")
    if is_used and report is not None:
        listed = {row.wanted.instrument_id for row in report.savable if row.wanted is not None}
        _require_places(len({*shares_of(draft), *listed}))
    draft.is_import_used = is_used
    if not is_used:
        draft.import_id = None
    draft.save(update_fields=["import_id", "is_import_used"])


def setup_finish(*, user_id: UUID) -> Bot:
    """Make the bot, stopped, from all that was answered; finishing again returns the same one."""
    draft = _draft_lock(at_least=Step.SHARES, may_be_done=True)
    made: Bot | None = draft.bot
    if made is not None:
        return made
    if draft.plan is None or draft.acknowledgement is None:
        raise StepOrderError(Step.LIMITS)
    connection, plan, actor = _connection_of(draft), RiskPlan.from_json(draft.plan), user_actor(user_id)
    report = report_of(draft) if draft.is_import_used else None
    listed = {row.wanted.instrument_id for row in report.savable if row.wanted is not None} if report else set()
    chosen = list(offered(connection.venue).filter(pk__in=shares_of(draft)).values_list("pk", flat=True))
    if not chosen and not listed:
        raise SetupRefusedError("Choose at least one share for the bot to watch.")
    _require_places(len({*chosen, *listed}))
    _require_bot_place()
    bot = bot_create(
        connection=connection,
        name=FIRST_BOT,
        params=plan.params(connection.venue),
        limits=plan.limits(),
        allocated_capital=plan.capital,
        instrument_ids=chosen,
        actor=actor,
    )
    if report is not None and draft.import_id is not None:
        import_save(import_id=draft.import_id, actor=actor, bot=bot)
    draft.bot, draft.step, draft.finished_at = bot, Step.FINISHED, clock.now()
    draft.save()
    return bot


def typed_save(*, step: Step, typed: Mapping[str, str]) -> None:
    """Keep what stands in a step's form as it was written, right or wrong; a set-up that is over keeps nothing."""
    draft = _draft_lock(at_least=step)
    kept = {name[:LONGEST_TYPED]: text[:LONGEST_TYPED] for name, text in list(typed.items())[:MOST_TYPED]}
    draft.typed = {**draft.typed, step.name: kept}
    draft.save(update_fields=["typed"])


def second_factor_asked() -> None:
    """Note that the account was offered a second factor and somebody answered."""
    SetupDraft.objects.filter(second_factor_asked_at=None).update(second_factor_asked_at=clock.now())


# --- the draft --------------------------------------------------------------------------------------------------------


def _draft_lock(*, make: bool = False, at_least: Step = Step.BROKER, may_be_done: bool = False) -> SetupDraft:
    """Return the account's draft, locked. Raises StepOrderError where the step is not open yet."""
    tenant_id = require_tenant_id()
    if make:
        SetupDraft.objects.get_or_create(tenant_id=tenant_id)
    draft: SetupDraft | None = SetupDraft.objects.select_for_update(of=("self",)).filter(tenant_id=tenant_id).first()
    if draft is None:
        raise StepOrderError(Step.BROKER)
    if draft.open_step is Step.FINISHED and not may_be_done:
        raise SetupDoneError("This account is set up.")
    if draft.step < at_least:
        raise StepOrderError(draft.open_step)
    return draft


def _own_tenant(user_id: UUID, name: str) -> UUID:
    owned = [place for place in memberships_of_user(user_id) if place.role == Membership.Role.OWNER]
    return owned[0].tenant_id if owned else tenant_create(user_id=user_id, name=name).pk


def _connection(draft: SetupDraft, answers: BrokerAnswers, actor: str) -> BrokerConnection:
    if draft.connection is None:
        return connection_create(
            label="Paper account", venue=answers.venue, opening_cash=answers.opening_cash, actor=actor
        )
    return paper_connection_change(
        connection_id=draft.connection.pk, venue=answers.venue, opening_cash=answers.opening_cash, actor=actor
    )


def _connection_of(draft: SetupDraft) -> BrokerConnection:
    if draft.connection is None:
        raise StepOrderError(Step.BROKER)
    connection: BrokerConnection = draft.connection
    return connection


def _require_places(count: int) -> None:
    most = limits_now().max_instruments
    if most is not None and count > most:
        raise SetupRefusedError(f"Your plan watches up to {most} shares; this would be {count}.")


def _require_bot_place() -> None:
    most = limits_now().max_bots
    if most is not None and Bot.objects.filter(archived_at=None).count() >= most:
        raise SetupRefusedError(f"Your plan runs {most} bot{'' if most == 1 else 's'}, and you have that many.")
