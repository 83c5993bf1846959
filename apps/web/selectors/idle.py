"""Why a bot is not trading: what holds it back now, with the way to mend it, and what its last look said."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from uuid import UUID

from django.urls import reverse

from apps.brokers.choices import ConnectionMode
from apps.common.db import require_tenant_id
from apps.engine.model.choices import RunLevel
from apps.trading.models import AccountState, CycleRun, Decision, EntryFreeze, StopRequest
from apps.web import formats, words
from apps.web.selectors.bots import BotFacts, ReadyItem, bot_card, readiness

NAMES = 5
_UNKNOWN_FREEZES = (EntryFreeze.Reason.UNKNOWN_ORDER, EntryFreeze.Reason.DEAD_ORDER_SEEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """One thing that keeps the bot from buying, and the button that mends it where there is one."""

    kind: str
    icon: str
    title: str
    text: str
    action: str = ""
    url: str = ""
    opens_sheet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LookGroup:
    """The shares of the last look for which the same reason held; the sentence is the first one's."""

    kind: words.Kind
    names: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleView:
    """The panel. Without an obstacle the bot waits for its rule, and the last look says what for."""

    bot_id: UUID
    bot_name: str
    obstacles: tuple[Obstacle, ...]
    looked_at: datetime | None
    look: tuple[LookGroup, ...]


def idle_view(facts: BotFacts, stops: dict[UUID, StopRequest], now: datetime) -> IdleView:
    """Return what keeps the bot from buying now, the most severe first, and what its last look said."""
    decisions = _last_look(facts.bot.pk)
    return IdleView(
        bot_id=facts.bot.pk,
        bot_name=facts.bot.name,
        obstacles=(
            *_level_obstacles(facts, stops),
            *_connection_obstacles(facts, now),
            *_share_obstacles(facts),
            *_cycle_obstacles(facts),
        ),
        looked_at=decisions[0].decided_at if decisions else None,
        look=tuple(_groups(decisions)),
    )


def _level_obstacles(facts: BotFacts, stops: dict[UUID, StopRequest]) -> Iterable[Obstacle]:
    for stop in facts.above:
        url = "" if stop.effect_id is None else reverse("web:operator_stop", args=[stop.effect_id])
        yield Obstacle(
            kind="blocked",
            icon="barred",
            title=stop.title,
            text=f"{stop.text} {words.ABOVE_BUTTONS}",
            action="See what it did" if url else "",
            url=url,
        )
    card = bot_card(replace(facts, above=()), stops)  # what the customer's own buttons say beside it
    if card.level is RunLevel.RUNNING:
        return
    level_words = words.LEVEL_WORDS[card.level]
    if card.held_by:
        text = f"{level_words.promise} {card.held_by} The bot's own button does not lift it."
        yield Obstacle(kind="blocked", icon="barred", title=level_words.state.capitalize(), text=text)
        return
    yield Obstacle(
        kind="blocked",
        icon=level_words.icon,
        title=level_words.state.capitalize(),
        text=level_words.promise,
        action=words.LEVEL_WORDS[RunLevel.RUNNING].verb,
        url=reverse("web:level", args=[facts.bot.pk, "start"]),
        opens_sheet=True,
    )


_READY_ICONS = {"danger": ("problem", "alert"), "notice": ("blocked", "barred")}


def _connection_obstacles(facts: BotFacts, now: datetime) -> Iterable[Obstacle]:
    connection = facts.bot.connection
    if connection.mode in {ConnectionMode.ALERT, ConnectionMode.APPROVE}:
        text = "In this mode ARUN does not send purchases by itself; sales and stops go on."
        yield Obstacle(kind="blocked", icon="barred", title=f"The account is in {connection.mode} mode", text=text)
    account: AccountState | None = getattr(connection, "account_state", None)
    for item in readiness(facts, {}, now):
        if item.name in _HOLDS_BACK and item.kind != "good" and _is_obstacle(item, account):
            kind, icon = _READY_ICONS[item.kind]
            yield Obstacle(kind=kind, icon=icon, title=item.name, text=f"{item.text}.")


_HOLDS_BACK = frozenset({"Broker session", "Books", "Free cash", "Market", "Limits"})


def _is_obstacle(item: ReadyItem, account: AccountState | None) -> bool:
    """Return whether a light that is not green really keeps purchases away; a limit half used does not."""
    if item.name == "Limits":
        return item.kind == "danger"
    if item.name == "Books":
        return account is None or account.is_quarantined or account.failing_since is not None
    return True


def _share_obstacles(facts: BotFacts) -> Iterable[Obstacle]:
    if not facts.watched_ids:
        yield Obstacle(
            kind="blocked",
            icon="barred",
            title="No share is switched on",
            text="The bot looks at no share, so it has nothing to decide about.",
            action="Choose shares",
            url=reverse("web:instruments"),
        )
    rows = EntryFreeze.objects.filter(connection_id=facts.bot.connection_id, cleared_at=None)
    for freeze in rows.select_related("instrument").order_by("frozen_at"):
        action, url = _way_out(freeze)
        yield Obstacle(
            kind="problem",
            icon="alert",
            title=f"{freeze.instrument.tradingsymbol} is held back",
            text=f"{freeze.get_reason_display()}. Other shares are not affected.",
            action=action,
            url=url,
        )


def _way_out(freeze: EntryFreeze) -> tuple[str, str]:
    if freeze.reason == EntryFreeze.Reason.POSITION_DIFFERS:
        return "Say what happened", f"{reverse('web:positions')}#outside"
    if freeze.reason in _UNKNOWN_FREEZES:
        return "See the orders", f"{reverse('web:orders')}?show=unknown"
    return "", ""


def _cycle_obstacles(facts: BotFacts) -> Iterable[Obstacle]:
    reason = words.skip_words(facts.last_cycle_reason)
    if facts.last_cycle_due_at is None:
        text = "The bot has not looked at its shares yet. It does so when its next candle closes."
        yield Obstacle(kind="waiting", icon="clock", title="No look so far", text=text)
    elif facts.last_cycle_state == CycleRun.State.FAILED:
        text = f"{reason.capitalize()}. It is tried again with the next candle."
        yield Obstacle(kind="problem", icon="alert", title="The last look failed", text=text)
    elif facts.last_cycle_state == CycleRun.State.SKIPPED and not (facts.last_cycle_reason or "").startswith("stopped"):
        text = f"{reason.capitalize()}. The next candle is looked at again."
        yield Obstacle(kind="waiting", icon="clock", title="The last look was skipped", text=text)


# --- the last look ----------------------------------------------------------------------------------------------------


def _last_look(bot_id: UUID) -> list[Decision]:
    require_tenant_id()
    newest = Decision.objects.filter(bot_id=bot_id).order_by("-cycle_id").values("cycle_id")[:1]
    rows = Decision.objects.filter(cycle_id__in=newest).select_related("instrument")
    return list(rows.order_by("reason", "instrument__tradingsymbol"))


def _groups(decisions: Iterable[Decision]) -> Iterable[LookGroup]:
    for reason, members in groupby(decisions, key=lambda decision: decision.reason):
        rows = list(members)
        names = ", ".join(row.instrument.tradingsymbol for row in rows[:NAMES])
        more = f" and {formats.number(len(rows) - NAMES, places=0)} more" if len(rows) > NAMES else ""
        yield LookGroup(
            kind=words.kind_of(rows[0].action, reason),
            names=f"{names}{more}",
            sentence=words.sentence_of(reason, rows[0].numbers),
        )
