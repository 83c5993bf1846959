"""Stops above the account, as the customer reads them: what the operator stopped, since when, why, and what it did."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import CharField, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Cast, Concat, JSONObject

from apps.engine.model.choices import RunLevel
from apps.trading.models import Bot, PlatformControl, PlatformStopEffect, PlatformStopRequest
from apps.trading.platform_selectors import scope_where
from apps.trading.selectors import strategy_key
from apps.web import formats, words
from apps.web.selectors.frame import business

Scope = PlatformControl.Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAbove:
    """One stop of the operator that covers a bot. `effect_id` leads to what it did here, once it is proven."""

    level: RunLevel
    title: str
    text: str
    since: datetime | None
    effect_id: UUID | None


def above_of_each_bot() -> ArraySubquery:
    """Return the expression that reads, for each bot of a query, the newest request of every scope above it."""
    version = Cast(OuterRef("strategy_version"), CharField())
    strategy = Concat(OuterRef("strategy"), Value("@"), version, output_field=CharField())
    rows = _newest(
        Q(scope=Scope.PLATFORM)
        | Q(scope=Scope.BROKER, key=OuterRef("connection__broker"))
        | Q(scope=Scope.STRATEGY, key=strategy)
    )
    return ArraySubquery(rows)


def stops_above(bot: Bot) -> tuple[StopAbove, ...]:
    """Return the operator's stops that cover the bot, the strictest first."""
    rows = _newest(
        Q(scope=Scope.PLATFORM)
        | Q(scope=Scope.BROKER, key=bot.connection.broker)
        | Q(scope=Scope.STRATEGY, key=strategy_key(bot))
    )
    return stops_of(rows)


def stops_of(rows: Iterable[dict[str, Any]]) -> tuple[StopAbove, ...]:
    """Return what the rows of `above_of_each_bot` say, the strictest first; a lifted stop is none."""
    found = [_stop(row) for row in rows if row["level"] > RunLevel.RUNNING]
    return tuple(sorted(found, key=lambda stop: stop.level, reverse=True))


def _newest(covering: Q) -> QuerySet[PlatformStopRequest, dict[str, Any]]:
    rows = PlatformStopRequest.objects.filter(covering).order_by("scope", "key", "-epoch").distinct("scope", "key")
    effect = PlatformStopEffect.objects.filter(stop_id=OuterRef("pk")).values("pk")
    facts = JSONObject(
        scope="scope", key="key", level="level", at="requested_at", reason="reason", effect=Subquery(effect)
    )
    return rows.values_list(facts, flat=True)


def _stop(row: dict[str, Any]) -> StopAbove:
    level = RunLevel(row["level"])
    since = business(datetime.fromisoformat(row["at"]))
    where = scope_where(row["scope"], row["key"])
    title, text = words.above_words(level, where=where, since=formats.ist(since), reason=row["reason"])
    effect = row["effect"]
    return StopAbove(level=level, title=title, text=text, since=since, effect_id=UUID(effect) if effect else None)
