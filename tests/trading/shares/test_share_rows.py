"""The verdict on one line of an uploaded list of shares."""

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.engine.model.choices import Timeframe
from apps.engine.model.params import StrategyParams
from apps.trading.errors import ImportFileError
from apps.trading.overrides import OwnSettings
from apps.trading.share_files import file_read
from apps.trading.share_rows import (
    Catalog,
    Effect,
    ReportRow,
    Share,
    Target,
    TargetBot,
    Verdict,
    Watched,
    judge_lines,
)

BOT, OTHER = UUID(int=1), UUID(int=2)
INFY, TCS, NIFTY, OLD, BIG = (UUID(int=number) for number in range(11, 16))
DESKTOP = "Symbol,Broker,Enabled,Timeframe,Buy RSI,Sell RSI,Profit Target %,Quantity,Exchange,Strategy\n"


def share(pk: UUID, symbol: str, exchange: str = "NSE", **fields: object) -> Share:
    return Share(id=pk, exchange=exchange, tradingsymbol=symbol, **fields)


SHARES = [
    share(INFY, "INFY"),
    share(TCS, "TCS"),
    share(NIFTY, "NIFTY", is_index=True),
    share(OLD, "GONE", is_active=False),
    share(BIG, "LOTS", lot_size=25, freeze_quantity=1000),
    share(UUID(int=16), "BAJAJ-AUTO"),
    share(UUID(int=17), "ETERNAL"),
    share(UUID(int=18), "TINY", "BSE"),
]
CATALOG = Catalog(
    shares={(each.exchange, each.tradingsymbol): each for each in SHARES},
    renamed={("NSE", "ZOMATO"): SHARES[6]},
    similar={"RELAINCE": "RELIANCE"},
)


def target(**changes: object) -> Target:
    values: dict[str, object] = {
        "bot": TargetBot(id=BOT, name="Mine", params=StrategyParams()),
        "venue": "NSE",
        "broker": "paper",
        **changes,
    }
    return Target(**values)


def rows(text: str, **changes: object) -> tuple[ReportRow, ...]:
    return judge_lines(file_read(text.encode()), target(**changes), CATALOG)


def row(text: str, **changes: object) -> ReportRow:
    (only,) = rows(text, **changes)
    return only


# --- accepted ---------------------------------------------------------------------------------------------------------


def test_simple_line_is_accepted_as_it_stands() -> None:
    found = row("Symbol,Exchange\nINFY,NSE\n")

    assert (found.verdict, found.corrections, found.refusals, found.effect) == (Verdict.ACCEPTED, (), (), Effect.ADD)
    assert (found.wanted.instrument_id, found.wanted.bot_id) == (INFY, BOT)
    assert (found.wanted.is_enabled, found.wanted.own) == (True, OwnSettings())


def test_numbers_become_settings_of_the_share_alone() -> None:
    text = 'Symbol,Buy RSI,Sell RSI,Profit Target %,Stop Loss %,Amount,Trade Cap,Cooldown\nINFY,30,off,8.50%,,"1,25,000",₹5000,2\n'

    found = row(text)

    assert found.verdict is Verdict.ACCEPTED
    assert found.wanted.own.overrides == {
        "buy_rsi": "30",
        "sell_rsi": None,
        "profit_target_percent": "8.5",
        "sizing": "FIXED_AMOUNT",
        "size": "125000",
        "cooldown_candles": 2,
    }
    assert found.wanted.own.limits == {"trade_cap": "5000"}


def test_empty_cells_follow_the_bot_again() -> None:
    own = OwnSettings(
        overrides={"buy_rsi": "30", "mode": "INVEST", "sizing": "FIXED_AMOUNT", "size": "5000"}, limits={}
    )
    watched = {INFY: Watched(bot_id=BOT, bot_name="Mine", is_enabled=True, own=own)}

    found = row("Symbol,Buy RSI,Quantity\nINFY,,\n", watched=watched)

    assert (found.effect, found.wanted.own.overrides) == (Effect.CHANGE, {"mode": "INVEST"})


def test_columns_that_are_not_there_leave_their_settings_alone() -> None:
    own = OwnSettings(overrides={"buy_rsi": "30"}, limits={"trade_cap": "100"})
    watched = {INFY: Watched(bot_id=BOT, bot_name="Mine", is_enabled=False, own=own)}

    found = row("Symbol\nINFY\n", watched=watched)

    assert (found.effect, found.wanted.is_enabled, found.wanted.own) == (Effect.SAME, False, own)


@pytest.mark.parametrize("typed", ["15", "15m", "15 min", "15MIN", "15minute", "15 minutes", "15mins"])
def test_timeframe_of_the_bot_is_known_in_every_spelling(typed) -> None:
    assert row(f"Symbol,Timeframe\nINFY,{typed}\n").verdict is Verdict.ACCEPTED


# --- corrected --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "symbol", "words"),
    [
        ("infy", "INFY", "Symbol: infy became INFY."),
        ("INFY.NS", "INFY", "Symbol: INFY.NS became INFY."),
        ("NSE:INFY", "INFY", "Symbol: NSE:INFY became INFY."),
        ("INFY-EQ", "INFY", "Symbol: INFY-EQ became INFY."),
        ("BAJAJ-AUTO-EQ", "BAJAJ-AUTO", "Symbol: BAJAJ-AUTO-EQ became BAJAJ-AUTO."),
        ("ZOMATO", "ETERNAL", "Symbol: ZOMATO became ETERNAL (its name changed)."),
        ("'INFY", "INFY", "Symbol: 'INFY became INFY (Excel's mark removed)."),
        ('"=""INFY"""', "INFY", 'Symbol: ="INFY" became INFY (Excel\'s mark removed).'),
    ],
)
def test_symbol_is_put_right_and_said_so(typed, symbol, words) -> None:
    found = row(f"Symbol\n{typed}\n")

    assert (found.verdict, found.tradingsymbol, found.corrections) == (Verdict.CORRECTED, symbol, (words,))


def test_exchange_becomes_the_one_where_the_bot_trades() -> None:
    found = row("Symbol,Exchange\nINFY,BSE\n")

    assert found.corrections == ("Exchange: BSE became NSE (where this bot's connection trades).",)


@pytest.mark.parametrize("column", ["Sell RSI", "Profit Target %", "Stop Loss %", "Trailing Stop %"])
def test_999_is_off_in_any_file(column) -> None:
    found = row(f"Symbol,{column}\nINFY,999\n")

    assert found.corrections == (f"{column}: 999 became off (999 means off).",)
    assert list(found.wanted.own.overrides.values()) == [None]


def test_buying_level_that_is_off_switches_the_share_off() -> None:
    found = row("Symbol,Buy RSI\nINFY,999\n")

    assert (found.verdict, found.wanted.is_enabled, found.wanted.own.overrides) == (Verdict.CORRECTED, False, {})
    assert found.corrections[-1].startswith("Enabled: became no")


def test_line_of_the_desktop_program_is_read_whole() -> None:
    found = row(DESKTOP + "INFY,mstock,TRUE,15m,30,999,999,5,NSE,trade\n")

    assert found.verdict is Verdict.CORRECTED
    assert found.wanted.own.overrides == {
        "buy_rsi": "30",
        "sell_rsi": None,
        "profit_target_percent": None,
        "sizing": "FIXED_QUANTITY",
        "size": "5",
        "mode": "TRADE",
    }
    assert found.corrections == (
        "Broker: mstock became paper (the bot's own connection).",
        "Sell RSI: 999 became off (999 means off).",
        "Profit Target %: 999 became off (999 means off).",
    )


def test_quantity_of_999_is_off_in_the_desktop_file_and_shares_elsewhere() -> None:
    old = row(DESKTOP + "INFY,paper,TRUE,15m,35,65,10,999,NSE,TRADE\n")
    new = row("Symbol,Quantity\nINFY,999\n")

    assert "size" not in old.wanted.own.overrides
    assert old.corrections == ("Quantity: 999 became the bot's own size (999 means off in this file).",)
    assert new.wanted.own.overrides == {"sizing": "FIXED_QUANTITY", "size": "999"}


def test_other_timeframe_goes_to_the_bot_that_uses_it() -> None:
    hourly = TargetBot(id=OTHER, name="Hourly", params=StrategyParams(timeframe=Timeframe.H1))

    found = row("Symbol,Timeframe\nINFY,1h\n", others=(hourly,))

    assert (found.wanted.bot_id, found.bot_name) == (OTHER, "Hourly")
    assert found.corrections == ("Timeframe: 1h goes to the bot Hourly, which uses it.",)


def test_timeframe_that_no_bot_has_becomes_the_bots_own() -> None:
    found = row("Symbol,Timeframe\nINFY,day\n")

    assert (found.verdict, found.wanted.bot_id) == (Verdict.CORRECTED, BOT)
    assert found.corrections == ("Timeframe: day became 15m (a bot has one timeframe; make another bot for this one).",)


def test_decimal_comma_is_put_right() -> None:
    found = row("Symbol;Buy RSI\nINFY;32,5\n")

    assert (found.wanted.own.overrides, found.corrections) == (
        {"buy_rsi": "32.5"},
        ("Buy RSI: 32,5 became 32.5 (decimal comma).",),
    )


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Symbol,Exchange\n,NSE\n", "Symbol: expected the symbol of a share, got nothing."),
        ("Symbol\nRELAINCE\n", "got RELAINCE (did you mean RELIANCE?)."),
        ("Symbol\nTINY\n", "Symbol: expected a share on NSE, got TINY, which is on BSE."),
        ("Symbol,Exchange\nINTC,NASDAQ\n", "got INTC on NASDAQ."),
        ("Symbol\nNIFTY\n", "got NIFTY, which is an index and not for sale."),
        ("Symbol\nGONE\n", "got GONE, which is not traded any more."),
        ("Symbol,Buy RSI\nINFY,120\n", "Buy RSI: expected a number with at most 4 decimals from 1 to 99, got 120."),
        ("Symbol,Buy RSI\nINFY,70\n", "Sell RSI: expected above Buy RSI (70), got 65."),
        ("Symbol,Buy RSI\nINFY,low\n", "Buy RSI: expected a number or off, got low."),
        ("Symbol,Buy RSI\nINFY,=1+1\n", "Buy RSI: expected a value, got the formula =1+1."),
        ("Symbol,Buy RSI\nINFY,NaN\n", "Buy RSI: expected a number or off, got NaN."),
        ("Symbol,Buy RSI\nINFY,1e1\n", "Buy RSI: expected a number or off, got 1e1."),
        ("Symbol,Buy RSI\nINFY,٣٠\n", "Buy RSI: expected a number or off, got ٣٠."),
        ("Symbol,Stop Loss %\nINFY,-5\n", "Stop Loss %: expected"),
        ("Symbol,Quantity\nINFY,2.5\n", "Quantity: expected a whole number, got 2.5."),
        ("Symbol,Quantity\nINFY,0\n", "Quantity: expected at least one lot, 1, got 0."),
        ("Symbol,Quantity\nLOTS,24\n", "Quantity: expected at least one lot, 25, got 24."),
        ("Symbol,Quantity\nLOTS,1025\n", "Quantity: expected at most 1000"),
        ("Symbol,Quantity,Amount\nINFY,5,5000\n", "Size: expected one of Quantity, Amount and % of Capital"),
        ("Symbol,Enabled\nINFY,maybe\n", "Enabled: expected yes or no, got maybe."),
        ("Symbol,Timeframe\nINFY,7m\n", "Timeframe: expected one of 15s, 1m, 3m"),
        ("Symbol,Timeframe\nINFY,m\n", "Timeframe: expected one of"),
        ("Symbol,Strategy\nINFY,MANAGED\n", "Strategy: expected TRADE, INVEST or SIP (a holding is handed over"),
        ("Symbol,Strategy\nINFY,SCALP\n", "Strategy: expected TRADE, INVEST or SIP, got SCALP."),
        (
            "Symbol,Strategy,Quantity\nINFY,SIP,5\n",
            "Amount: expected rupees, because the strategy SIP buys for a fixed amount",
        ),
        ("Symbol,Trade Cap\nINFY,0\n", "Trade Cap: expected a number with at most 4 decimals from 1 to"),
        ('Symbol,Exchange\n"INFY,NSE\n', "A quote that is opened in this line is not closed in it."),
    ],
)
def test_line_that_cannot_be_meant_is_refused_with_expected_and_got(text, words) -> None:
    found = row(text)

    assert (found.verdict, found.wanted, found.effect) == (Verdict.REFUSED, None, None)
    assert any(words in refusal for refusal in found.refusals), found.refusals


def test_every_fault_of_a_line_is_named_at_once() -> None:
    found = row("Symbol,Buy RSI,Stop Loss %,Trade Cap\nINFY,120,95,0\n")

    assert [refusal.partition(":")[0] for refusal in found.refusals] == [
        "Buy RSI",
        "Stop Loss %",
        "Sell RSI",
        "Trade Cap",
    ]


def test_second_line_of_the_same_share_is_refused_and_names_the_first() -> None:
    first, second = rows("Symbol\nINFY\ninfy.ns\n")

    assert first.verdict is Verdict.ACCEPTED
    assert second.refusals == ("Symbol: expected each share once, got INFY of line 2 again.",)


def test_share_may_come_again_after_a_line_that_was_refused() -> None:
    first, second = rows("Symbol,Buy RSI\nINFY,500\nINFY,30\n")

    assert (first.verdict, second.verdict) == (Verdict.REFUSED, Verdict.ACCEPTED)


def test_places_of_the_plan_go_to_the_first_lines_that_can_be_saved() -> None:
    found = rows("Symbol,Buy RSI\nINFY,500\nINFY,30\nTCS,\nETERNAL,\n", places_left=2, plan_limit=3)

    assert [each.verdict.value for each in found] == ["REFUSED", "ACCEPTED", "ACCEPTED", "REFUSED"]
    assert found[3].refusals == ("Expected at most 3 shares, which your plan allows; ETERNAL would be one more.",)


def test_share_that_is_watched_already_needs_no_place() -> None:
    watched = {INFY: Watched(bot_id=BOT, bot_name="Mine", is_enabled=True, own=OwnSettings())}

    assert row("Symbol,Buy RSI\nINFY,30\n", watched=watched, places_left=0, plan_limit=1).effect is Effect.CHANGE


def test_share_of_another_bot_is_refused() -> None:
    watched = {INFY: Watched(bot_id=OTHER, bot_name="Second", is_enabled=True, own=OwnSettings())}

    assert "INFY is watched by the bot Second." in row("Symbol\nINFY\n", watched=watched).refusals[0]


def test_simulated_bot_says_where_a_real_share_is() -> None:
    found = row("Symbol,Exchange\nINFY,NSE\n", venue="SIM")

    assert found.refusals == (
        "Symbol: expected a share of the simulated market, where this bot trades, got INFY, which is on NSE.",
    )


# --- any file ---------------------------------------------------------------------------------------------------------

_CELLS = st.one_of(
    st.sampled_from(
        ["INFY", "TCS", "infy.ns", "GONE", "NIFTY", "", "999", "off", "35", "-1", "=A1", "'5", "yes", "15m", "SIP"]
    ),
    st.decimals(allow_nan=True).map(str),
    st.text(max_size=12),
)


@settings(max_examples=300, deadline=None)
@given(
    titles=st.lists(
        st.sampled_from(
            ["Exchange", "Broker", "Enabled", "Timeframe", "Buy RSI", "Sell RSI", "Profit Target %", "Quantity",
             "Strategy", "Amount", "Trade Cap", "Max Exposure", "Stop Loss %", "Cooldown", "Colour"]
        ),
        unique=True,
        max_size=8,
    ),
    lines=st.lists(st.lists(_CELLS, min_size=1, max_size=9), min_size=1, max_size=12),
    places=st.one_of(st.none(), st.integers(0, 4)),
)  # fmt: skip
def test_any_lines_give_one_verdict_each_and_only_settings_the_engine_takes(titles, lines, places) -> None:
    text = "\n".join(",".join(line) for line in [["Symbol", *titles], *lines])
    try:
        file = file_read(text.encode("utf-8", "surrogatepass"))
    except ImportFileError:
        return

    found = judge_lines(file, target(places_left=places, plan_limit=places), CATALOG)

    assert [each.line for each in found] == [line.number for line in file.lines]
    saved = [each for each in found if each.wanted is not None]
    assert (
        len({each.wanted.instrument_id for each in saved}) == len(saved) <= (len(found) if places is None else places)
    )
    for each in found:
        assert (each.verdict is Verdict.REFUSED) == (each.wanted is None) == bool(each.refusals)
        assert (each.verdict is Verdict.CORRECTED) == bool(each.corrections and each.wanted is not None)
    for each in saved:
        params = StrategyParams.from_json({**StrategyParams().to_json(), **each.wanted.own.overrides})
        assert params.buy_rsi < (params.sell_rsi or Decimal(100))
