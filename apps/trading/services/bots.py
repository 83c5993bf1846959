"""Making bots and changing their parameters. Every change of parameters is a new version; none is overwritten."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

from apps.brokers.models import BrokerConnection
from apps.common import audit, events
from apps.common.db import require_tenant_id
from apps.common.ids import uuid7
from apps.common.models import WorkItem
from apps.engine.errors import InvalidParamsError
from apps.engine.model.choices import RunLevel, Timeframe
from apps.engine.model.params import RiskLimits, StrategyParams
from apps.engine.strategies.rsi_reversion import STRATEGY_VERSION
from apps.trading.errors import ParametersRefusedError
from apps.trading.models import Bot, InstrumentConfig, ParameterSet, PlatformControl, Position, RunControl
from apps.trading.overrides import effective_params
from apps.trading.selectors import strategy_key
from apps.trading.services.instruments import bots_lock
from apps.trading.services.levels import levels_refresh
from apps.trading.services.reconcile import account_lock
from apps.trading.services.stops import run_control_ensure, stop_request
from apps.trading.services.work import work_schedule


def bot_create(
    *,
    connection: BrokerConnection,
    name: str,
    params: StrategyParams,
    limits: RiskLimits,
    allocated_capital: Decimal,
    instrument_ids: Sequence[UUID],
    actor: str,
) -> Bot:
    """Make a bot that is stopped: it trades only once its owner starts it."""
    bot: Bot = Bot.objects.create(
        connection=connection,
        name=name,
        strategy_version=STRATEGY_VERSION,
        allocated_capital=allocated_capital,
    )
    parameters_change(bot=bot, params=params, limits=limits, actor=actor)
    InstrumentConfig.objects.bulk_create(
        InstrumentConfig(
            id=uuid7(), tenant_id=bot.tenant_id, bot=bot, connection=connection, instrument_id=instrument_id
        )
        for instrument_id in instrument_ids
    )
    account_lock(connection)
    for scope, scope_id in ((RunControl.Scope.TENANT, bot.tenant_id), (RunControl.Scope.BOT, bot.pk)):
        run_control_ensure(scope, scope_id)
    PlatformControl.objects.bulk_create(
        [
            PlatformControl(scope=PlatformControl.Scope.BROKER, key=connection.broker),
            PlatformControl(scope=PlatformControl.Scope.STRATEGY, key=strategy_key(bot)),
        ],
        ignore_conflicts=True,
    )
    stop_request(
        scope=RunControl.Scope.BOT,
        scope_id=bot.pk,
        level=RunLevel.STOP,
        request_id=uuid7(),
        actor=actor,
        reason="A new bot waits for its first start.",
    )
    work_schedule(WorkItem.Kind.CYCLE, bot.pk)
    work_schedule(WorkItem.Kind.RECONCILE, connection.pk)
    audit.record("bot.created", actor=actor, subject=f"bot:{bot.pk}", data={"name": name})
    events.publish("BotCreated", tenant_id=bot.tenant_id, data={"bot": str(bot.pk)})
    return bot


def parameters_change(*, bot: Bot, params: StrategyParams, limits: RiskLimits, actor: str) -> ParameterSet:
    """Give the bot a new version of its parameters and limits; open positions follow it at once.

    Raises ParametersRefusedError where a share's own settings would contradict them.
    """
    bots_lock()
    _require_shares_fit(bot, params)
    newest = ParameterSet.objects.filter(bot=bot).order_by("-version").values_list("version", flat=True).first()
    parameters: ParameterSet = ParameterSet.objects.create(
        bot=bot,
        version=(newest or 0) + 1,
        params=params.to_json(),
        limits=limits.to_json(),
        created_by=actor,
    )
    bot.parameters = parameters
    bot.save(update_fields=["parameters"])
    for position in Position.objects.filter(bot=bot, closed_at=None).select_related("bot__parameters"):
        levels_refresh(position)
    audit.record(
        "bot.parameters_changed",
        actor=actor,
        subject=f"bot:{bot.pk}",
        data={"version": parameters.version, "params": params.to_json(), "limits": limits.to_json()},
    )
    events.publish(
        "ParametersChanged",
        tenant_id=require_tenant_id(),
        data={"bot": str(bot.pk), "version": parameters.version},
    )
    return parameters


def strategy_save(
    *,
    bot_id: UUID,
    params: StrategyParams,
    limits: RiskLimits,
    capital: Decimal,
    keeps_stop_at_broker: bool,
    shown_version: int,
    actor: str,
) -> ParameterSet:
    """Save what the settings page holds as a new version; what is in force already writes nothing.

    `capital` in rupees is what the bot may have at work; the version carries it as a limit as well. Raises
    ParametersRefusedError where somebody saved another version since, or where the market has no such candles or a
    share's own settings would contradict them; Bot.DoesNotExist for a stranger's bot and a missing one.
    """
    bots = {bot.pk: bot for bot in bots_lock()}
    if bot_id not in bots:
        raise Bot.DoesNotExist
    bot = bots[bot_id]
    limits = replace(limits, capital=capital)
    if _is_in_force(bot, params, limits, capital) and bot.keeps_stop_at_broker == keeps_stop_at_broker:
        return _parameters_of(bot)
    version = 0 if bot.parameters is None else bot.parameters.version
    if version != shown_version:
        raise ParametersRefusedError("Somebody saved another version since you opened this page. Look at it again.")
    if params.timeframe is Timeframe.S15 and not bot.connection.is_simulated:
        raise ParametersRefusedError("Candles of 15 seconds exist on the simulated market only.")
    if keeps_stop_at_broker != bot.keeps_stop_at_broker or capital != bot.allocated_capital:
        _terms_change(bot, capital, keeps_stop_at_broker, actor)
    if _is_in_force(bot, params, limits, capital):
        return _parameters_of(bot)
    return parameters_change(bot=bot, params=params, limits=limits, actor=actor)


def _is_in_force(bot: Bot, params: StrategyParams, limits: RiskLimits, capital: Decimal) -> bool:
    if bot.parameters is None or bot.allocated_capital != capital:
        return False
    now = StrategyParams.from_json(bot.parameters.params), RiskLimits.from_json(bot.parameters.limits)
    return now == (params, limits)


def _parameters_of(bot: Bot) -> ParameterSet:
    parameters: ParameterSet = ParameterSet.objects.get(pk=bot.parameters_id)
    return parameters


def _terms_change(bot: Bot, capital: Decimal, keeps_stop_at_broker: bool, actor: str) -> None:
    bot.allocated_capital, bot.keeps_stop_at_broker = capital, keeps_stop_at_broker
    bot.save(update_fields=["allocated_capital", "keeps_stop_at_broker"])
    work_schedule(WorkItem.Kind.RECONCILE, bot.connection_id)  # it places or takes back the stops at the broker
    audit.record(
        "bot.terms_changed",
        actor=actor,
        subject=f"bot:{bot.pk}",
        data={"capital": capital, "keeps_stop_at_broker": keeps_stop_at_broker},
    )


def _require_shares_fit(bot: Bot, params: StrategyParams) -> None:
    configs = InstrumentConfig.objects.filter(bot=bot).exclude(overrides={}).select_related("instrument")
    for config in configs.order_by("instrument__tradingsymbol"):
        try:
            effective_params(params, config.overrides)
        except InvalidParamsError as error:
            raise ParametersRefusedError(
                f"{config.instrument.tradingsymbol} has settings of its own that do not fit: {error.message}. "
                "Change them on the page Instruments first.",
                data={"instrument": str(config.instrument_id)},
            ) from error
