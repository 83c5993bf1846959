"""The list of orders: every filter, each order of the list, and pages that follow each other."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.brokers.models import BrokerConnection
from apps.common.db import tenant_scope
from apps.engine.model.choices import OrderType, Purpose, Side
from apps.engine.model.params import RiskLimits, StrategyParams
from apps.market import calendar
from apps.trading.models import Bot, OrderIntent
from apps.trading.services.bots import bot_create
from apps.trading.services.intents import IntentTerms, intent_claim, intent_move, intent_record
from apps.web import filters
from apps.web.selectors import orders
from tests.kit.factories.trading import TradingTenant, make_instrument, make_trading_tenant
from tests.web.conftest import signed_in
from tests.web.test_home import text_of


@pytest.fixture
def asha(db, valkey) -> TradingTenant:
    return make_trading_tenant(symbols=("SIMLOTUS", "SIMNEEM", "SIMTEAK"))


@pytest.fixture
def reader(asha: TradingTenant) -> Client:
    return signed_in(User.objects.get(pk=asha.user_id))


def write(
    tenant: TradingTenant,
    *,
    share: int = 0,
    quantity: int = 1,
    state: str = "DEAD",
    purpose: Purpose = Purpose.ENTRY,
    bot_id: UUID | None = None,
) -> OrderIntent:
    """Write an order down and end it, so that the next one of its share may follow."""
    with tenant_scope(tenant.tenant_id):
        bot = Bot.objects.select_related("connection").get(pk=bot_id or tenant.bot_id)
        intent = intent_record(
            bot=bot,
            instrument_id=tenant.instrument_ids[share],
            terms=IntentTerms(
                key=str(uuid4()),
                purpose=purpose,
                side=Side.BUY,
                quantity=quantity,
                order_type=OrderType.LIMIT,
                limit_price=Decimal(100),
            ),
            expires_at=datetime(2027, 1, 1, tzinfo=UTC),
        )
        assert intent is not None
        if state == "DEAD":
            intent_move(intent_claim(intent.pk, states=("NEW",)), "DEAD", cause="expired")
        return intent


def listed(client: Client, query: str) -> list[str]:
    """Return the ids of the orders on the page, in its order."""
    page = client.get(f"/orders/{query}").content.decode()
    return [part.split('"')[0] for part in page.split('<tr id="order-')[1:]]


def ids(*intents: OrderIntent) -> list[str]:
    return [str(intent.pk) for intent in intents]


# --- filters ----------------------------------------------------------------------------------------------------------


def test_each_state_has_its_tab(asha, reader):
    dead, live = write(asha), write(asha, share=1, state="NEW")

    assert listed(reader, "?show=unsent") == ids(dead)
    assert listed(reader, "?show=live") == ids(live)
    for kind in ("unknown", "filled", "refused", "ended"):
        assert listed(reader, f"?show={kind}") == []


def test_kinds_of_the_page_are_the_kinds_of_the_list():
    assert set(filters.ORDER_KINDS) == set(orders.KINDS)
    assert set(filters.ORDER_SORTS) == set(orders.ORDERS)


@pytest.mark.parametrize("text", ["neem", "NEEM", "Simneem", " simneem "])
def test_share_is_found_by_symbol_or_name(asha, reader, text):
    write(asha)
    neem = write(asha, share=1)

    assert listed(reader, f"?q={text}") == ids(neem)


def test_percent_sign_finds_nothing_by_itself(asha, reader):
    write(asha)

    assert listed(reader, "?q=%25") == []


def test_side_and_reason(asha, reader):
    entry, instalment = write(asha), write(asha, share=1, purpose=Purpose.SIP)

    assert listed(reader, "?why=SIP") == ids(instalment)
    assert listed(reader, "?why=ENTRY&side=BUY") == ids(entry)
    assert listed(reader, "?side=SELL") == []


def test_bot(asha, reader):
    with tenant_scope(asha.tenant_id):
        second = bot_create(
            connection=BrokerConnection.objects.get(),
            name="Second",
            params=StrategyParams(),
            limits=RiskLimits(),
            allocated_capital=Decimal(1000),
            instrument_ids=[make_instrument("SIMOTHER").pk],
            actor="process:tests",
        )
    write(asha)
    other = write(asha, share=1, bot_id=second.pk)

    assert listed(reader, f"?bot={second.pk}") == ids(other)


def test_money(asha, reader):
    paper = write(asha)

    assert listed(reader, "?mode=paper") == ids(paper)
    assert listed(reader, "?mode=real") == []


def test_bot_of_another_tenant_is_as_unknown_as_one_that_is_missing(asha, reader):
    ravi = make_trading_tenant(name="Ravi")
    write(ravi)

    theirs = reader.get(f"/orders/?bot={ravi.bot_id}").content.decode()
    missing_id = uuid4()
    missing = reader.get(f"/orders/?bot={missing_id}").content.decode()

    assert "Expected one of your bots." in theirs
    assert listed(reader, f"?bot={ravi.bot_id}") == []
    assert theirs.replace(str(ravi.bot_id), "ID").count("<option") == missing.replace(str(missing_id), "ID").count(
        "<option"
    )


# --- trading dates ----------------------------------------------------------------------------------------------------


def at(intent: OrderIntent, moment: datetime) -> OrderIntent:
    """Put an order at a moment of the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE trading_orderintent SET created_at = %s WHERE id = %s", [moment, intent.pk])
    return intent


@pytest.fixture
def dated(asha) -> dict[str, OrderIntent]:
    """Orders around Indian midnight of Mon 16 Nov 2026, which is 18:30 UTC of the day before."""
    moments = {
        "a month ago": datetime(2026, 10, 10, 6, tzinfo=UTC),
        "last second of Sunday": datetime(2026, 11, 15, 18, 29, 59, tzinfo=UTC),
        "first second of Monday": datetime(2026, 11, 15, 18, 30, tzinfo=UTC),
        "Monday morning": datetime(2026, 11, 16, 4, 15, tzinfo=UTC),
    }
    with tenant_scope(asha.tenant_id):
        return {name: at(write(asha), moment) for name, moment in moments.items()}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["Monday morning", "first second of Monday"]),
        ("?day=today", ["Monday morning", "first second of Monday"]),
        ("?day=7", ["Monday morning", "first second of Monday", "last second of Sunday"]),
        ("?day=all", ["Monday morning", "first second of Monday", "last second of Sunday", "a month ago"]),
        ("?first=2026-11-15&last=2026-11-15", ["last second of Sunday"]),
        ("?last=2026-11-15", ["last second of Sunday", "a month ago"]),
        ("?first=2026-11-16", ["Monday morning", "first second of Monday"]),
        ("?day=today&first=2026-10-10&last=2026-10-10", ["a month ago"]),
        ("?show=unsent", ["Monday morning", "first second of Monday"]),
    ],
)
def test_dates_are_the_exchanges(dated, reader, clock, query, names):
    assert listed(reader, query) == ids(*(dated[name] for name in names))


def test_what_may_still_change_is_shown_whatever_its_day(asha, reader, clock):
    with tenant_scope(asha.tenant_id):
        old = at(write(asha, state="NEW"), datetime(2026, 10, 1, tzinfo=UTC))

    assert listed(reader, "?show=live") == ids(old)
    assert listed(reader, "?show=live&day=today") == []


def test_shifted_clock_moves_the_day_and_not_the_rows(dated, reader, clock, settings):
    """Business time runs a day ahead of the database's: an order of Sunday's database time belongs to Monday."""
    settings.ARUN_CLOCK_OFFSET_SECONDS = 86_400

    assert listed(reader, "?first=2026-11-16&last=2026-11-16") == ids(dated["last second of Sunday"])


def test_bounds_of_a_date_hold_exactly_its_moments():
    since, until = calendar.date_bounds("NSE", date(2026, 11, 16), date(2026, 11, 16))

    assert (since, until - since) == (datetime(2026, 11, 15, 18, 30, tzinfo=UTC), timedelta(days=1))
    assert calendar.trading_date("NSE", since) == date(2026, 11, 16)
    assert calendar.trading_date("NSE", since - timedelta(microseconds=1)) == date(2026, 11, 15)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?first=yesterday", "Write a date such as 2026-11-23."),
        ("?first=2026-11-16&last=2026-11-15", "Expected a date from Mon 16 Nov on."),
        ("?last=9999-12-31", "Expected a date between 2000 and 2100."),
        ("?side=HOLD", "Select a valid choice."),
        ("?sort=luck", "Expected one of the list."),
        ("?bot=x", "Expected one of your bots."),
    ],
)
def test_filter_that_makes_no_sense_is_told_and_filters_nothing(asha, reader, clock, query, told):
    with tenant_scope(asha.tenant_id):
        row = at(write(asha), datetime(2026, 11, 16, 4, tzinfo=UTC))

    page = reader.get(f"/orders/{query}")

    assert page.status_code == 200
    assert told in page.content.decode()
    assert ids(row)[0] in page.content.decode() or "last" in query


# --- order and pages --------------------------------------------------------------------------------------------------


@pytest.fixture
def many(asha) -> list[OrderIntent]:
    """Seven orders of three shares; some at one moment, so that only the id tells them apart."""
    made = [write(asha, share=number % 3, quantity=1 + number % 2) for number in range(7)]
    with tenant_scope(asha.tenant_id):
        return [at(intent, datetime(2026, 11, 16, 4, number // 3, tzinfo=UTC)) for number, intent in enumerate(made)]


@pytest.mark.parametrize("sort", list(filters.ORDER_SORTS))
def test_pages_follow_each_other_without_a_gap_or_a_repeat(many, reader, clock, monkeypatch, sort):
    whole = listed(reader, f"?day=all&sort={sort}")
    monkeypatch.setattr(orders.orders_view, "__kwdefaults__", {"after": None, "limit": 2})

    pages, query = [], f"?day=all&sort={sort}"
    while True:
        page = reader.get(f"/orders/{query}").content.decode()
        pages.append([part.split('"')[0] for part in page.split('<tr id="order-')[1:]])
        links = [part.split('"')[0] for part in page.split('href="') if part.split('"')[1:2] == [" rel="]]
        if not links:
            break
        query = links[0].replace("&amp;", "&")

    assert [len(rows) for rows in pages] == [2, 2, 2, 1]
    assert [row for rows in pages for row in rows] == whole
    assert sorted(whole) == sorted(ids(*many))


def test_lists_are_in_the_order_they_say(many, reader, clock):
    def keys(sort):
        by_id = {str(intent.pk): intent for intent in many}
        return [by_id[row] for row in listed(reader, f"?day=all&sort={sort}")]

    assert [row.quantity for row in keys("size")] == [2, 2, 2, 1, 1, 1, 1]
    assert keys("") == list(reversed(keys("old")))


def test_place_of_another_tenant_and_of_nothing_are_both_not_found(asha, reader):
    theirs = write(make_trading_tenant(name="Ravi"))

    answers = [reader.get(f"/orders/?after={some}").status_code for some in (theirs.pk, uuid4(), "x")]

    assert answers == [404, 404, 404]


def test_page_says_how_many_there_are(many, reader, clock):
    assert "7 orders" in text_of(reader.get("/orders/?day=all"))


def test_queries_do_not_grow_with_the_rows(asha, reader, clock):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            reader.get("/orders/?day=all")
        return len(captured)

    write(asha)
    reader.get("/orders/?day=all")
    one = queries()
    for _number in range(12):
        write(asha)

    assert queries() == one <= 12


def test_fragment_is_the_list_alone_and_the_way_back_is_the_page(asha, reader):
    fragment = reader.get("/orders/", headers={"HX-Request": "true"}).content.decode()
    back = reader.get("/orders/", headers={"HX-Request": "true", "HX-History-Restore-Request": "true"}).content.decode()

    assert fragment.strip().startswith('<section class="card card-flush" id="order-list"')
    assert back.startswith("<!DOCTYPE html>")


def test_links_keep_the_rest_of_the_filter(asha, reader, clock):
    write(asha)

    page = reader.get("/orders/?day=all&q=lotus&side=BUY&after=").content.decode()

    assert 'href="?day=all&amp;q=lotus&amp;side=BUY&amp;show=live"' in page
    assert 'href="?day=7&amp;q=lotus&amp;side=BUY"' in page


def test_form_keeps_what_was_chosen(asha, reader):
    page = reader.get('/orders/?q=lo"><b>&side=BUY').content.decode()

    assert 'value="lo&quot;&gt;&lt;b&gt;"' in page
    assert '<option value="BUY" selected>' in page
