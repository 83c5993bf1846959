"""Reads of the set-up. All of them need an open tenant scope, but for what is offered to everybody."""

from dataclasses import dataclass, replace
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.brokers.choices import SessionState
from apps.common import clock
from apps.engine.model.choices import RunLevel
from apps.market.choices import FeedId
from apps.market.models import Instrument
from apps.market.selectors import StarterPack, instrument_search, starter_packs
from apps.onboarding.choices import Step
from apps.onboarding.models import SetupDraft
from apps.trading.models import Bot, InstrumentImport, StopRequest
from apps.trading.services.instrument_import import ImportReport, report_from_json


def draft_now() -> SetupDraft | None:
    """Return the account's set-up, if it was set up by the wizard at all."""
    found: SetupDraft | None = SetupDraft.objects.select_related("connection", "acknowledgement", "bot").first()
    return found


def has_bots() -> bool:
    """Return whether the account has a bot, however it was made."""
    return bool(Bot.objects.filter(archived_at=None).exists())


def shares_of(draft: SetupDraft) -> tuple[UUID, ...]:
    """Return the shares that were chosen for the draft's venue, in the order of the choice."""
    venue = "" if draft.connection is None else draft.connection.venue
    return tuple(UUID(text) for text in draft.share_ids.get(venue, ()))


def report_of(draft: SetupDraft) -> ImportReport | None:
    """Return the report on the list that was uploaded, unless there is none or it has expired."""
    if draft.import_id is None:
        return None
    kept = InstrumentImport.objects.filter(pk=draft.import_id, expires_at__gt=clock.now()).first()
    return None if kept is None else report_from_json(kept.report)


def offered(venue: str) -> QuerySet[Instrument]:
    """Return the shares and funds of a venue that have prices, by their symbol."""
    return (
        Instrument.objects.filter(exchange=venue, is_active=True)
        .exclude(feed=FeedId.NONE)
        .exclude(kind=Instrument.Kind.INDEX)
        .order_by("tradingsymbol")
    )


# --- what is missing --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What stands between an account and its first trade."""

    step: Step
    connection_id: UUID | None
    bot_id: UUID | None
    has_broker: bool
    has_broker_answered: bool
    has_limits: bool
    has_acknowledged: bool
    has_shares: bool
    has_started: bool
    has_second_factor: bool
    was_second_factor_asked: bool

    @property
    def is_done(self) -> bool:
        """Return whether nothing is missing any more."""
        return (
            self.step is Step.FINISHED and self.has_started and (self.has_second_factor or self.was_second_factor_asked)
        )


def unfinished() -> QuerySet[SetupDraft]:
    """Return the account's set-up while it may lack something, for a look that costs nothing of its own."""
    is_over = Q(finished_at__isnull=False, second_factor_asked_at__isnull=False) & Q(_started())
    drafts: QuerySet[SetupDraft] = SetupDraft.objects.exclude(is_over)
    return drafts


def _started() -> Exists:
    return Exists(StopRequest.objects.filter(scope_id=OuterRef("bot_id"), level=RunLevel.RUNNING))


def progress_of(user_id: UUID) -> Progress | None:
    """Return how far the account is, with this person's second factor; None for one that the wizard did not make."""
    factors = Authenticator.objects.filter(user_id=user_id)
    draft = (
        SetupDraft.objects.select_related("connection")
        .annotate(fact_started=_started(), fact_factor=Exists(factors))
        .first()
    )
    if draft is None:
        return None
    state = None if draft.connection is None else draft.connection.session_state
    return Progress(
        step=draft.open_step,
        connection_id=draft.connection_id,
        bot_id=draft.bot_id,
        has_broker=draft.connection_id is not None,
        has_broker_answered=state == SessionState.ALIVE or draft.fact_started,
        has_limits=draft.plan is not None and draft.step > Step.LIMITS,
        has_acknowledged=draft.acknowledgement_id is not None,
        has_shares=draft.bot_id is not None or bool(shares_of(draft)) or draft.is_import_used,
        has_started=draft.fact_started,
        has_second_factor=draft.fact_factor,
        was_second_factor_asked=draft.second_factor_asked_at is not None,
    )


# --- what is offered --------------------------------------------------------------------------------------------------


def packs_offered(venue: str) -> tuple[StarterPack, ...]:
    """Return the starter packs of a venue with what is offered there; one without a share is left out."""
    packs = (
        replace(pack, instruments=tuple(share for share in pack.instruments if share.feed != FeedId.NONE))
        for pack in starter_packs(exchanges=[venue])
    )
    return tuple(pack for pack in packs if pack.instruments)


def shares_found(venue: str, text: str, *, limit: int) -> tuple[Instrument, ...]:
    """Return what a person may mean by the text and can choose on this venue, best first."""
    found = (match.instrument for match in instrument_search(text, exchanges=[venue], limit=limit))
    return tuple(share for share in found if share.is_active and share.feed != FeedId.NONE)
