"""The words of the set-up: what real brokers will ask for, what a test of a connection said, what a plan can cost."""

from dataclasses import dataclass
from decimal import Decimal

from apps.brokers.choices import SessionState, TestState
from apps.brokers.models import ConnectionTest
from apps.engine.model.params import Preset
from apps.onboarding.plan import DAILY_LOSS_PERCENT, RiskPlan, preset_plan
from apps.onboarding.risk import Figures, Oddity
from apps.web import formats

RISK_TEXT_KEY = "set-up"
RISK_TEXT_VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerNeeds:
    """A broker that cannot be connected yet, and what it will take."""

    name: str
    summary: str
    needs: tuple[str, ...]


REAL_BROKERS = (
    BrokerNeeds(
        name="mStock",
        summary="Mirae Asset. The trading interface costs nothing.",
        needs=(
            "A trading and demat account at mStock.",
            "A key for its trading interface, made in mStock's web portal. It is free and lasts about thirteen months.",
            (
                "The internet address from which ARUN sends your orders, registered for your key. India's rules ask "
                "for a fixed address of your own; only close family may share one."
            ),
            (
                "An authenticator (TOTP) switched on at mStock. With it ARUN can log in for you each morning; without "
                "it you type a code every day, because the session ends at midnight."
            ),
            (
                "A standing permission to sell from your demat account (DDPI), or your own confirmation on each day on "
                "which something is sold."
            ),
        ),
    ),
    BrokerNeeds(
        name="Zerodha",
        summary="Kite Connect, about ₹500 a month with prices.",
        needs=(
            "A trading and demat account at Zerodha.",
            (
                "A Kite Connect app. The one with prices costs about ₹500 a month, which Zerodha charges; the free one "
                "places orders and has no prices."
            ),
            (
                "The internet address from which ARUN sends your orders, registered in your developer profile. India's "
                "rules ask for a fixed address of your own; only close family may share one."
            ),
            (
                "Your own log-in at Zerodha every trading day, with its second step. Nobody may do it for you; ARUN "
                "reminds you and waits."
            ),
            (
                "A standing permission to sell from your demat account (DDPI), or your own confirmation on each day on "
                "which something is sold."
            ),
        ),
    ),
    BrokerNeeds(
        name="Interactive Brokers",
        summary="For markets outside India first.",
        needs=(
            "An open and funded account of the kind IBKR Pro.",
            (
                "A second user name for the bot, with the right to trade. Whoever logs in with the bot's own name ends "
                "its session."
            ),
            "Access keys (OAuth), made in its self-service portal. They start to work within hours to two weeks.",
            "Market data paid for under the bot's user name, and its yearly declaration signed.",
            "Its servers rest for some minutes every night, and the bot with them.",
        ),
    ),
)


# --- the test of a connection -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TestWords:
    """What a page says about a test. `kind` is a banner's."""

    __test__ = False

    kind: str
    title: str
    text: str = ""
    is_waiting: bool = False


_SESSIONS = {
    SessionState.EXPIRED: ("The broker answered: log in again.", "The session at the broker is over. Log in there."),
    SessionState.COMPETING: (
        "The broker answered: somebody else is using this account.",
        "The same user name is logged in elsewhere. End that session, then test again.",
    ),
    SessionState.NOT_PROVISIONED: (
        "The broker answered: not allowed.",
        "The account has no right to be traded by a program yet. Ask the broker for it.",
    ),
    SessionState.DEGRADED: ("The broker answered that it is in trouble.", "Test again in some minutes."),
}
_PROBLEMS = {
    "no_answer": ("No answer within 20 seconds.", "Your answers are kept. Test again, or go on and test later."),
    "broker_unavailable": ("The broker could not be reached.", "It may be away for a moment. Test again."),
    "broker_rate_limited": ("The broker asks for fewer questions.", "Wait a minute, then test again."),
    "broker_session_expired": _SESSIONS[SessionState.EXPIRED],
    "broker_not_permitted": _SESSIONS[SessionState.NOT_PROVISIONED],
}
_UNREADABLE = ("The broker's answer could not be understood.", "ARUN takes that for a no. Test again, or write to us.")


def test_words(test: ConnectionTest, *, is_given_up: bool) -> TestWords:
    """Return what to say about a test; one that nobody waits for any more is told as unanswered."""
    if test.state == TestState.WAITING and not is_given_up:
        return TestWords(kind="info", title="Asking the broker…", text="Up to 20 seconds.", is_waiting=True)
    if test.state == TestState.PASSED:
        text = f"An order may use {formats.inr(test.deployable)}." if test.deployable is not None else ""
        return TestWords(kind="good", title="It works: the broker let ARUN in.", text=text)
    problem = "no_answer" if test.state == TestState.WAITING else test.problem
    title, text = (
        _PROBLEMS.get(problem, _UNREADABLE) if problem else _SESSIONS.get(SessionState(test.session_state), _UNREADABLE)
    )
    return TestWords(kind="notice", title=title, text=text)


# --- presets and warnings ---------------------------------------------------------------------------------------------


def preset_words(preset: Preset) -> str:
    """Return what a preset does, in one line."""
    plan = preset_plan(preset, Decimal(100_000))
    parts = [f"buys at RSI {formats.trimmed(plan.buy_rsi)}"]
    if plan.never_sell_at_loss:
        floor = formats.trimmed(plan.catastrophic_stop_percent or 0)
        parts.append(f"never sells at a loss, except past {formats.MINUS}{floor}%")
    elif plan.stop_loss_percent is not None:
        parts.append(f"stop {formats.trimmed(plan.stop_loss_percent)}%")
    if plan.profit_target_percent is not None:
        parts.append(f"target {formats.trimmed(plan.profit_target_percent)}%")
    parts.append(f"pauses after a day's loss of {formats.trimmed(DAILY_LOSS_PERCENT[preset])}%")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskWords:
    """A plan in plain words: what it means, what is odd about it, and the whole as it is agreed to."""

    means: tuple[str, ...]
    oddities: tuple[str, ...]
    agreement: str

    @property
    def text(self) -> str:
        """Return every sentence that is shown, in its order: what the acknowledgement stores."""
        return "\n".join([*self.means, *self.oddities, self.agreement])


AGREEMENT = (
    "I have read this and it is what I want. I know that this is paper money, that its results say nothing about "
    "real trading, and that ARUN gives no advice."
)


def risk_words(plan: RiskPlan, figures: Figures, oddities: tuple[Oddity, ...]) -> RiskWords:
    """Return the words for a plan's figures."""
    return RiskWords(
        means=(_sizes(plan, figures), _pauses(plan), _worst(plan, figures), _charges(plan, figures)),
        oddities=tuple(_oddity(oddity, plan, figures) for oddity in oddities),
        agreement=AGREEMENT,
    )


def _sizes(plan: RiskPlan, figures: Figures) -> str:
    return (
        f"Of {formats.inr(plan.capital)} the bot puts at most {formats.inr(figures.per_trade)} in one share, and holds "
        f"at most {_positions(figures.positions)} at the same time: {formats.inr(figures.invested)} in all."
    )


def _pauses(plan: RiskPlan) -> str:
    text = f"It pauses after losing {formats.inr(plan.daily_loss)} in a day: until the next day it buys nothing."
    if plan.pause_after_losses is not None:
        times = "1 loss" if plan.pause_after_losses == 1 else f"{plan.pause_after_losses} losses in a row"
        text += f" It also pauses after {times}."
    return f"{text} What it holds then stays, with its stops."


def _worst(plan: RiskPlan, figures: Figures) -> str:
    if figures.stop_percent is None or figures.loss_of_one is None or figures.loss_of_all is None:
        return f"No stop is set: what the bot holds, up to {formats.inr(figures.invested)}, can lose all its value."
    stop = formats.trimmed(figures.stop_percent)
    if figures.positions == 1:
        worst = f"If it falls to its stop of {formats.MINUS}{stop}%, you lose {formats.inr(figures.loss_of_one)}"
    else:
        worst = (
            f"A share that falls to its stop of {formats.MINUS}{stop}% costs you {formats.inr(figures.loss_of_one)}; "
            f"all {figures.positions} at once cost {formats.inr(figures.loss_of_all)}"
        )
    return f"{worst}, charges included. A price that jumps past the stop costs more."


def _charges(plan: RiskPlan, figures: Figures) -> str:
    text = f"Buying and selling one such lot costs {formats.inr(figures.charges)} in charges"
    if figures.target_amount is None or figures.charges_of_target_percent is None:
        return f"{text}. No target is set."
    return (
        f"{text}: {formats.trimmed(figures.charges_of_target_percent)}% of the {formats.inr(figures.target_amount)} "
        f"between the purchase and the target of {formats.trimmed(plan.profit_target_percent or 0)}%."
    )


def _positions(count: int) -> str:
    return "1 share" if count == 1 else f"{count} different shares"


def _oddity(oddity: Oddity, plan: RiskPlan, figures: Figures) -> str:
    return _ODDITIES[oddity].format(
        stop=formats.trimmed(figures.stop_percent or 0),
        stop_loss=formats.trimmed(plan.stop_loss_percent or 0),
        floor=formats.trimmed(plan.catastrophic_stop_percent or 0),
        target=formats.trimmed(plan.profit_target_percent or 0),
        one=formats.inr(figures.loss_of_one),
        all=formats.inr(figures.loss_of_all),
        day=formats.inr(plan.daily_loss),
        positions=figures.positions,
        purchases="1 purchase" if figures.positions == 1 else f"{figures.positions} purchases",
        wanted=plan.max_open_positions,
        share=formats.trimmed(figures.charges_of_target_percent or 0),
        rsi=formats.trimmed(plan.buy_rsi),
        minus=formats.MINUS,
    )


_ODDITIES = {
    Oddity.NO_STOP: "Nothing sells a share that only falls. A stop loss or a floor would.",
    Oddity.FALLEN_IS_KEPT_FOR_EVER: (
        "A fallen share is kept for as long as it takes, without a floor: it can lose all its value. The stop loss, "
        "the trailing stop and the RSI do not sell it below what it cost."
    ),
    Oddity.FALLEN_IS_KEPT: (
        "The bot will hold losses down to {minus}{floor}%. The stop loss, the trailing stop and the RSI do not sell a "
        "share below what it cost, charges included; closing it yourself, or Stop and flatten, does."
    ),
    Oddity.NOTHING_SELLS: "Nothing sells a share that has risen: target, trailing stop and selling RSI are all off.",
    Oddity.CHARGES_ABOVE_TARGET: (
        "The charges are more than the way to the target. As things stand the bot would refuse every purchase: make "
        "the purchases larger, or the target wider."
    ),
    Oddity.HIGH_CHARGES: "Charges take {share}% of the way to the target. Larger purchases would lower that.",
    Oddity.ALL_IN_ONE: "Everything goes into one share. If it falls, nothing stands beside it.",
    Oddity.MONEY_RUNS_OUT: "The money lasts for {purchases}, not for {wanted}.",
    Oddity.FLOOR_ABOVE_STOP: (
        "The floor of {minus}{floor}% comes before the stop loss of {minus}{stop_loss}%, which therefore never acts."
    ),
    Oddity.STOP_BEYOND_TARGET: (
        "A stop of {minus}{stop}% against a target of +{target}%: one loss takes back as much as one gain brings, or "
        "more."
    ),
    Oddity.CLOSE_STOP: "A stop of {minus}{stop}% is very close. The ordinary coming and going of a price reaches it.",
    Oddity.ONE_STOP_ENDS_THE_DAY: (
        "One stop alone costs {one}, which is the daily limit of {day} or more: after it the bot buys nothing that day."
    ),
    Oddity.DAY_LIMIT_OUT_OF_REACH: (
        "All {positions} stops together cost {all}, less than the daily limit of {day}. The limit acts only when the "
        "bot loses, buys anew and loses again."
    ),
    Oddity.BUYS_STRENGTH: "It buys at RSI {rsi}, above the middle. The rule was made to buy weakness.",
}
