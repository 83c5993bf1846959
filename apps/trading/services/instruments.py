"""The shares that bots watch: adding, changing, moving and removing them, within the plan's limit and in versions.

A share that is removed or moved is locked first, and then looked at: a cycle that records an entry holds the same row
until its commit, so that no order is left behind for a share that nobody watches any more.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from apps.common import audit, events
from apps.common.errors import InvalidInputError
from apps.common.ids import uuid7
from apps.common.models import WorkItem
from apps.engine.errors import InvalidParamsError
from apps.engine.model.params import StrategyParams
from apps.market.models import Instrument
from apps.trading.errors import InstrumentRefusedError
from apps.trading.models import LIVE_STATES, Bot, InstrumentConfig, InstrumentVersion, OrderIntent, Position
from apps.trading.overrides import OwnSettings, effective_params, own_settings, share_limits
from apps.trading.selectors import instrument_places
from apps.trading.services.levels import levels_refresh
from apps.trading.services.work import work_schedule

MOST_OWN_SHARES = 1_000_000_000
"""A count of own shares above this is a slip of the pen."""

MOST_NAMED = 50
"""Shares that one audit row names; it says how many there were in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How a share shall be watched, and by which bot."""

    instrument_id: UUID
    bot_id: UUID
    is_enabled: bool
    own: OwnSettings


@dataclass(slots=True, kw_only=True)
class Saved:
    """What became of each share: its id in one of the first three, or among the refused with the reason."""

    added: list[UUID] = field(default_factory=list)
    changed: list[UUID] = field(default_factory=list)
    same: list[UUID] = field(default_factory=list)
    refused: dict[UUID, str] = field(default_factory=dict)


def instruments_save(*, connection_id: UUID, wanted: Sequence[Wanted], actor: str) -> Saved:
    """Set shares of one connection up as wanted; each one that cannot be is named with its reason and left alone.

    Saving the same again changes nothing and writes no version.
    """
    bots = {bot.pk: bot for bot in bots_lock() if bot.connection_id == connection_id}
    known = _known(connection_id, [item.instrument_id for item in wanted])
    places = instrument_places()
    saved = Saved()
    made: list[InstrumentConfig] = []
    touched: list[InstrumentConfig] = []
    for item in wanted:
        config = known.configs.get(item.instrument_id)
        is_over = config is None and places.left is not None and len(made) >= places.left
        refusal = _refusal(item, bots, known, is_over=is_over, plan_limit=places.limit)
        if refusal:
            saved.refused[item.instrument_id] = refusal
        elif config is None:
            made.append(_new_config(bots[item.bot_id], item, known))
            saved.added.append(item.instrument_id)
        elif _is_same(config, item):
            saved.same.append(item.instrument_id)
        else:
            config.is_enabled = item.is_enabled
            config.overrides, config.limits = dict(item.own.overrides), dict(item.own.limits)
            touched.append(config)
            saved.changed.append(item.instrument_id)
    _write(made, touched, known, actor)
    if made:
        work_schedule(WorkItem.Kind.RECONCILE, connection_id)  # the customer may hold some of it already
    if made or touched:
        _tell(bots, [*made, *touched], known, saved, actor)
    return saved


def instrument_add(*, bot: Bot, instrument_id: UUID, actor: str) -> InstrumentConfig:
    """Let the bot watch a share; one that it watches already stays as it is.

    Raises InstrumentRefusedError where the plan, the market or another bot says no.
    """
    found: InstrumentConfig | None = InstrumentConfig.objects.filter(bot=bot, instrument_id=instrument_id).first()
    if found is not None:
        return found
    wanted = Wanted(instrument_id=instrument_id, bot_id=bot.pk, is_enabled=True, own=OwnSettings())
    saved = instruments_save(connection_id=bot.connection_id, wanted=[wanted], actor=actor)
    if instrument_id in saved.refused:
        raise InstrumentRefusedError(saved.refused[instrument_id])
    added: InstrumentConfig = InstrumentConfig.objects.get(bot=bot, instrument_id=instrument_id)
    return added


def instrument_change(
    *,
    config_id: UUID,
    is_enabled: bool,
    own: OwnSettings,
    baseline_quantity: int,
    shown_version: int,
    shown_baseline: int,
    actor: str,
) -> InstrumentConfig:
    """Change how a share is watched. Saving what is there already writes nothing.

    `shown_version` and `shown_baseline` are those of the form: when somebody changed the share since, nothing is
    saved. Raises InvalidParamsError with every fault, InvalidInputError for the customer's own shares,
    InstrumentRefusedError where the share was changed in between, InstrumentConfig.DoesNotExist for a stranger's and a
    missing one.
    """
    config = _config_lock(config_id)
    own = own_settings(own.overrides, own.limits)
    if config.bot.parameters is not None:
        effective_params(StrategyParams.from_json(config.bot.parameters.params), own.overrides)
    share_limits(own.limits)
    if not 0 <= baseline_quantity <= MOST_OWN_SHARES:
        raise InvalidInputError("baseline_quantity", expected="a whole number from 0", got=baseline_quantity)
    wanted = (is_enabled, dict(own.overrides), dict(own.limits), baseline_quantity)
    if wanted == (config.is_enabled, config.overrides, config.limits, config.baseline_quantity):
        return config
    if (config.settings_version, config.baseline_quantity) != (shown_version, shown_baseline):
        raise InstrumentRefusedError("Somebody changed this share since you opened it. Look at it again.")
    config.is_enabled, config.overrides, config.limits, config.baseline_quantity = wanted
    _save_version(config, actor)
    levels_follow([config])
    if config.baseline_quantity != shown_baseline:
        work_schedule(WorkItem.Kind.RECONCILE, config.connection_id)  # the broker's books say whether it is right
    _tell_one("instrument.changed", config, actor)
    return config


def instruments_switch(*, config_ids: Iterable[UUID], is_enabled: bool, actor: str) -> int:
    """Switch shares on or off and return how many were changed. Off ends purchases; what is held is still sold."""
    bots_lock()
    rows = InstrumentConfig.objects.filter(pk__in=list(config_ids), is_enabled=not is_enabled).select_related("bot")
    configs = list(rows.select_related("instrument"))
    for config in configs:
        config.is_enabled = is_enabled
        _save_version(config, actor)
        _tell_one("instrument.switched_on" if is_enabled else "instrument.switched_off", config, actor)
    return len(configs)


def instrument_move(*, config_id: UUID, bot: Bot, actor: str) -> InstrumentConfig:
    """Let another bot of the same connection watch a share from now on.

    Raises InstrumentRefusedError while the share is held or an order of it is alive, and where the other bot cannot
    watch it.
    """
    config = _config_lock(config_id)
    if config.bot_id == bot.pk:
        return config
    if bot.connection_id != config.connection_id or bot.archived_at is not None:
        raise InstrumentRefusedError(f"Expected a bot of the same broker connection, got {bot.name}.")
    _require_untouched(config, "moved")
    fault = own_settings_fault(bot, OwnSettings(overrides=config.overrides, limits=config.limits))
    if fault:
        raise InstrumentRefusedError(f"Its own settings do not fit the bot {bot.name}: {fault}")
    before = config.bot.name
    config.bot = bot
    _save_version(config, actor)
    _tell_one("instrument.moved", config, actor, data={"from": before, "to": bot.name})
    return config


def instrument_remove(*, config_id: UUID, actor: str) -> None:
    """Watch a share no more. Its versions stay, and so does everything that happened to it.

    Raises InstrumentRefusedError while the share is held or an order of it is alive.
    """
    config = _config_lock(config_id)
    _require_untouched(config, "removed")
    config.settings_version = _next_version(config)
    version_of(config, actor, is_removed=True).save(force_insert=True)
    _tell_one("instrument.removed", config, actor)
    config.delete()


def _config_lock(config_id: UUID) -> InstrumentConfig:
    """Lock the bots, then the share, and return it as it is now."""
    bots_lock()
    rows = InstrumentConfig.objects.select_for_update(of=("self",))
    config: InstrumentConfig = rows.select_related("instrument", "bot__parameters", "bot__connection").get(pk=config_id)
    return config


def _require_untouched(config: InstrumentConfig, verb: str) -> None:
    """Raise InstrumentRefusedError while the share's shares or orders hang on the bot that watches it."""
    at = {"connection_id": config.connection_id, "instrument_id": config.instrument_id}
    name = config.instrument.tradingsymbol
    held = Position.objects.filter(**at, closed_at=None, quantity__gt=0).first()
    if held is not None:
        raise InstrumentRefusedError(
            f"{config.bot.name} holds {held.quantity} of {name}. It can be {verb} once they are sold."
        )
    if OrderIntent.objects.filter(**at, state__in=LIVE_STATES).exists():
        raise InstrumentRefusedError(f"An order of {name} is alive. It can be {verb} once that has ended.")


def _save_version(config: InstrumentConfig, actor: str) -> None:
    config.settings_version = _next_version(config)
    config.save(update_fields=["bot", "is_enabled", "overrides", "limits", "baseline_quantity", "settings_version"])
    version_of(config, actor).save(force_insert=True)


def _next_version(config: InstrumentConfig) -> int:
    rows = InstrumentVersion.objects.filter(connection_id=config.connection_id, instrument_id=config.instrument_id)
    newest = rows.order_by("-version").values_list("version", flat=True).first()
    return (newest or 0) + 1


def _tell_one(action: str, config: InstrumentConfig, actor: str, *, data: Mapping[str, object] | None = None) -> None:
    audit.record(
        action,
        actor=actor,
        subject=f"instrument:{config.pk}",
        data={
            "symbol": config.instrument.tradingsymbol,
            "bot": str(config.bot_id),
            "version": config.settings_version,
            "enabled": config.is_enabled,
            "own_shares": config.baseline_quantity,
            "overrides": config.overrides,
            "limits": config.limits,
            **(data or {}),
        },
    )
    events.publish("InstrumentsChanged", tenant_id=config.tenant_id, data={"bot": str(config.bot_id), "count": 1})


def bots_lock() -> list[Bot]:
    """Lock the tenant's bots against another change of their shares or parameters, and return them with the latter.

    Orders and cycles that refer to a bot are not held up by it.
    """
    rows = Bot.objects.filter(archived_at=None).order_by("pk")
    return list(rows.select_for_update(no_key=True, of=("self",)).select_related("parameters", "connection"))


# --- what is there ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """The instruments asked for, how the connection watches them, and the newest version of each."""

    instruments: Mapping[UUID, Instrument]
    configs: Mapping[UUID, InstrumentConfig]
    versions: Mapping[UUID, InstrumentVersion]

    def next_version(self, instrument_id: UUID) -> int:
        newest = self.versions.get(instrument_id)
        return newest.version + 1 if newest else 1


def _known(connection_id: UUID, instrument_ids: Iterable[UUID]) -> _Known:
    ids = list(instrument_ids)
    configs = InstrumentConfig.objects.filter(connection_id=connection_id, instrument_id__in=ids)
    versions = InstrumentVersion.objects.filter(connection_id=connection_id, instrument_id__in=ids)
    newest = versions.order_by("instrument_id", "-version").distinct("instrument_id")
    return _Known(
        instruments=Instrument.objects.in_bulk(ids),
        configs={config.instrument_id: config for config in configs.select_related("instrument", "bot")},
        versions={version.instrument_id: version for version in newest},
    )


def _refusal(item: Wanted, bots: Mapping[UUID, Bot], known: _Known, *, is_over: bool, plan_limit: int | None) -> str:
    """Return why a share cannot be watched like this, or nothing."""
    instrument, bot = known.instruments.get(item.instrument_id), bots.get(item.bot_id)
    if instrument is None or bot is None:
        return "The share or its bot is not there any more."
    if is_over:
        return (
            f"Expected at most {plan_limit} shares, which your plan allows; "
            f"{instrument.tradingsymbol} would be one more."
        )
    config = known.configs.get(item.instrument_id)
    return _unfit(instrument, bot, config) or own_settings_fault(bot, item.own)


def _unfit(instrument: Instrument, bot: Bot, config: InstrumentConfig | None) -> str:
    """Return why the bot cannot watch this share, or nothing."""
    name = instrument.tradingsymbol
    if config is not None and config.bot_id != bot.pk:
        return f"{name} is watched by the bot {config.bot.name}. Expected a share that no other bot watches."
    if config is None and not instrument.is_active:
        return f"{name} is not traded any more."
    if instrument.kind == Instrument.Kind.INDEX:
        return f"{name} is an index and not for sale. Expected a share or a fund."
    if instrument.exchange != bot.connection.venue:
        return f"{name} is on {instrument.exchange}. Expected a share on {bot.connection.venue}."
    return ""


def own_settings_fault(bot: Bot, own: OwnSettings) -> str:
    """Return what is wrong with a share's own settings under the bot's parameters, or nothing."""
    try:
        if bot.parameters is not None:
            effective_params(StrategyParams.from_json(bot.parameters.params), own.overrides)
        share_limits(own.limits)
    except InvalidParamsError as error:
        return error.message
    return ""


def _is_same(config: InstrumentConfig, item: Wanted) -> bool:
    now = OwnSettings(overrides=config.overrides, limits=config.limits)
    return config.is_enabled == item.is_enabled and now == item.own


# --- writing ----------------------------------------------------------------------------------------------------------


def _new_config(bot: Bot, item: Wanted, known: _Known) -> InstrumentConfig:
    """Return the row of a share that is added. One that was watched before keeps the customer's own shares in mind."""
    before = known.versions.get(item.instrument_id)
    return InstrumentConfig(
        id=uuid7(),
        tenant_id=bot.tenant_id,
        bot=bot,
        connection_id=bot.connection_id,
        instrument_id=item.instrument_id,
        is_enabled=item.is_enabled,
        baseline_quantity=before.baseline_quantity if before and before.is_removed else 0,
        overrides=dict(item.own.overrides),
        limits=dict(item.own.limits),
    )


def _write(made: list[InstrumentConfig], touched: list[InstrumentConfig], known: _Known, actor: str) -> None:
    for config in (*made, *touched):
        config.settings_version = known.next_version(config.instrument_id)
    InstrumentConfig.objects.bulk_create(made, batch_size=500)
    fields = ["is_enabled", "overrides", "limits", "settings_version"]
    InstrumentConfig.objects.bulk_update(touched, fields, batch_size=500)
    InstrumentVersion.objects.bulk_create((version_of(config, actor) for config in (*made, *touched)), batch_size=500)
    levels_follow(touched)


def version_of(config: InstrumentConfig, actor: str, *, is_removed: bool = False) -> InstrumentVersion:
    """Return the row that says how a share is set up from now on; `settings_version` is its number."""
    return InstrumentVersion(
        id=uuid7(),
        tenant_id=config.tenant_id,
        bot_id=config.bot_id,
        connection_id=config.connection_id,
        instrument_id=config.instrument_id,
        version=config.settings_version,
        is_enabled=config.is_enabled,
        is_removed=is_removed,
        baseline_quantity=config.baseline_quantity,
        overrides=config.overrides,
        limits=config.limits,
        created_by=actor,
    )


def levels_follow(configs: Iterable[InstrumentConfig]) -> None:
    """Let the price levels of open positions follow a change of their shares."""
    by_bot: dict[UUID, list[UUID]] = {}
    for config in configs:
        by_bot.setdefault(config.bot_id, []).append(config.instrument_id)
    for bot_id, instrument_ids in by_bot.items():
        held = Position.objects.filter(bot_id=bot_id, closed_at=None, instrument_id__in=instrument_ids)
        for position in held.select_related("bot__parameters"):
            levels_refresh(position)


def _tell(
    bots: Mapping[UUID, Bot], configs: Sequence[InstrumentConfig], known: _Known, saved: Saved, actor: str
) -> None:
    for bot_id in sorted({config.bot_id for config in configs}):
        own = [config for config in configs if config.bot_id == bot_id]
        audit.record(
            "instruments.saved",
            actor=actor,
            subject=f"bot:{bot_id}",
            data={
                "count": len(own),
                "shares": [
                    {
                        "symbol": known.instruments[config.instrument_id].tradingsymbol,
                        "version": config.settings_version,
                        "enabled": config.is_enabled,
                        "overrides": config.overrides,
                        "limits": config.limits,
                    }
                    for config in own[:MOST_NAMED]
                ],
            },
        )
        events.publish(
            "InstrumentsChanged", tenant_id=bots[bot_id].tenant_id, data={"bot": str(bot_id), "count": len(own)}
        )
