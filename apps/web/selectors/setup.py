"""What the pages of the set-up show, and the checklist of what is missing on Home."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.urls import reverse

from apps.brokers.choices import Venue
from apps.brokers.models import ConnectionTest
from apps.brokers.selectors import connection_test_newest, is_given_up
from apps.common import clock
from apps.market.calendar import trading_date
from apps.market.models import Instrument
from apps.market.quotes import last_quotes
from apps.market.selectors import StarterPack
from apps.onboarding.choices import Step
from apps.onboarding.models import SetupDraft
from apps.onboarding.plan import RiskPlan
from apps.onboarding.risk import figures_of, oddities_of
from apps.onboarding.selectors import Progress, offered, packs_offered, report_of, shares_found, shares_of
from apps.subscriptions.selectors import limits_now
from apps.trading.services.instrument_import import ImportReport
from apps.web import formats, setup_words
from apps.web.selectors.imports import PAGE, LineView, line_views

STEP_NAMES = ("Broker", "Capital and risk", "Shares")
MOST_FOUND = 8

VENUES = {
    Venue.SIM: "Paper money on the simulated exchange",
    Venue.NSE: "Paper money on NSE, with recorded prices",
}
VENUE_WORDS = {
    Venue.SIM: (
        "Made-up shares with made-up prices, open round the clock. Candles last 15 seconds, so that something happens "
        "while you look."
    ),
    Venue.NSE: (
        "Real names with the prices that this installation has recorded, in the hours of the exchange. Where no "
        "recording reaches up to now, or the paper account has no price to fill an order at, nothing is bought and the "
        "bot says why."
    ),
}


def venues_offered() -> dict[str, str]:
    """Return the markets that can be chosen: the simulated one, and a real one where prices of it are there."""
    found = {Venue.SIM.value: VENUES[Venue.SIM]}
    if offered(Venue.NSE).exists():
        found[Venue.NSE.value] = VENUES[Venue.NSE]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class TestView:
    """A connection's test as a page shows it."""

    __test__ = False

    connection_id: UUID
    words: setup_words.TestWords | None
    test: ConnectionTest | None


def test_view(connection_id: UUID) -> TestView:
    """Return the connection's newest test in words."""
    test = connection_test_newest(connection_id)
    words = None if test is None else setup_words.test_words(test, is_given_up=is_given_up(test))
    return TestView(connection_id=connection_id, words=words, test=test)


def risk_view(plan: RiskPlan, *, broker: str, venue: str) -> setup_words.RiskWords:
    """Return what a plan means, in words."""
    figures = figures_of(plan, broker=broker, on=trading_date(venue, clock.now()))
    return setup_words.risk_words(plan, figures, oddities_of(plan, figures))


# --- shares -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PackView:
    """A starter pack, and whether all of it is chosen."""

    pack: StarterPack
    is_chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SharesView:
    """The third step: what is chosen, what can be, and the list that was uploaded."""

    chosen: tuple[Instrument, ...]
    chosen_ids: frozenset[UUID]
    used: int
    limit: int | None
    packs: tuple[PackView, ...]
    text: str
    found: tuple[Instrument, ...]
    offered_count: int
    too_dear: tuple[str, ...]
    report: ImportReport | None
    lines: tuple[LineView, ...]
    is_report_used: bool

    @property
    def count_words(self) -> str:
        """Return how many are chosen, of how many the plan allows."""
        return f"{self.used} of {self.limit}" if self.limit is not None else str(self.used)


def shares_view(draft: SetupDraft, *, text: str = "") -> SharesView:
    """Return the third step of this draft, with what a search for the text finds."""
    venue = "" if draft.connection is None else draft.connection.venue
    ids = shares_of(draft)
    by_id = offered(venue).in_bulk(ids)
    chosen = tuple(by_id[pk] for pk in ids if pk in by_id)
    report = report_of(draft)
    listed = (
        {row.wanted.instrument_id for row in report.savable if row.wanted is not None}
        if report is not None and draft.is_import_used
        else set()
    )
    chosen_ids = frozenset(by_id)
    return SharesView(
        chosen=chosen,
        chosen_ids=chosen_ids,
        used=len(chosen_ids | listed),
        limit=limits_now().max_instruments,
        packs=tuple(
            PackView(pack=pack, is_chosen=all(share.pk in chosen_ids for share in pack.instruments))
            for pack in packs_offered(venue)
        ),
        text=text,
        found=shares_found(venue, text, limit=MOST_FOUND),
        offered_count=offered(venue).count(),
        too_dear=_too_dear(draft, chosen),
        report=report,
        lines=() if report is None else line_views(report.rows[:PAGE]),
        is_report_used=draft.is_import_used,
    )


def _too_dear(draft: SetupDraft, chosen: tuple[Instrument, ...]) -> tuple[str, ...]:
    """Return a sentence for each share of which one costs more than a purchase may; only where a price is known."""
    if draft.plan is None or not chosen:
        return ()
    plan = RiskPlan.from_json(draft.plan)
    most = plan.capital * plan.size_percent / Decimal(100)
    quotes = last_quotes({share.pk for share in chosen})
    return tuple(
        f"One {share.tradingsymbol} last cost {formats.inr(quotes[share.pk].last_price)}, and one purchase may cost "
        f"{formats.inr(most)}: the bot cannot buy it."
        for share in chosen
        if share.pk in quotes and quotes[share.pk].last_price > most
    )


# --- the checklist ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecklistItem:
    """One thing between an account and its first trade, and the way to it."""

    title: str
    text: str
    is_done: bool
    url: str
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checklist:
    """What is missing. `go_on_url` leads back into a set-up that was not finished."""

    items: tuple[ChecklistItem, ...]
    go_on_url: str
    step: int

    @property
    def done(self) -> int:
        return sum(1 for item in self.items if item.is_done)


def checklist(progress: Progress | None, *, is_email_confirmed: bool) -> Checklist | None:
    """Return the checklist, or None where nothing is missing or the account was set up in another way."""
    if progress is None or (progress.is_done and is_email_confirmed):
        return None
    steps = {step: reverse(name) for step, name in STEP_URLS.items()}
    is_over = progress.step is Step.FINISHED
    return Checklist(
        items=(
            ChecklistItem(
                title="E-mail address confirmed",
                text="ARUN writes there when something needs you.",
                is_done=is_email_confirmed,
                url=reverse("account_email"),
                action="Confirm it",
            ),
            _broker_item(progress, steps[Step.BROKER]),
            ChecklistItem(
                title="Capital and risk set",
                text="How much the bot may use, and when it gets out.",
                is_done=progress.has_limits,
                url=steps[Step.LIMITS],
                action="Set them",
            ),
            ChecklistItem(
                title="Warnings read and agreed to",
                text="Kept word for word, with its date.",
                is_done=progress.has_acknowledged,
                url=steps[Step.LIMITS],
                action="Read them",
            ),
            ChecklistItem(
                title="Shares chosen",
                text="The bot watches these and no others.",
                is_done=is_over or (progress.has_shares and progress.step > Step.SHARES),
                url=steps[Step.SHARES],
                action="Choose them",
            ),
            _factor_item(progress),
            ChecklistItem(
                title="First start",
                text="Nothing trades before you press it.",
                is_done=progress.has_started,
                url=reverse("web:level", args=[progress.bot_id, "start"]) if progress.bot_id else steps[progress.step],
                action="Start" if progress.bot_id else "Finish the set-up first",
            ),
        ),
        go_on_url="" if is_over else steps[progress.step],
        step=int(progress.step),
    )


def _broker_item(progress: Progress, url: str) -> ChecklistItem:
    if not progress.has_broker:
        return ChecklistItem(
            title="Broker chosen", text="Paper money is enough.", is_done=False, url=url, action="Choose one"
        )
    return ChecklistItem(
        title="Broker answers",
        text="The paper account let ARUN in." if progress.has_broker_answered else "It was not asked yet.",
        is_done=progress.has_broker_answered,
        url=reverse("web:connection_test", args=[progress.connection_id]),
        action="Test the connection",
    )


def _factor_item(progress: Progress) -> ChecklistItem:
    put_off = progress.was_second_factor_asked and not progress.has_second_factor
    return ChecklistItem(
        title="Second step at log-in",
        text="Put off. Every mode above paper will ask for it." if put_off else "A passkey or an app on your phone.",
        is_done=progress.has_second_factor or put_off,
        url=reverse("mfa_index"),
        action="Add one",
    )


STEP_URLS = {
    Step.BROKER: "web:start_broker",
    Step.LIMITS: "web:start_limits",
    Step.SHARES: "web:start_shares",
    Step.FINISHED: "web:home",
}
