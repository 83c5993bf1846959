"""Every address of the platform, asked by a stranger for another tenant's things.

The answer about a thing that exists must be the answer about one that does not, nothing of the tenant may occur in it,
and nothing of the tenant may change. New addresses are found in the URLconf and tried without a word here.
"""

import io
import itertools
import re
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.urls.resolvers import RegexPattern

from apps.accounts.models import User
from apps.common.db import database_now, tenant_models, tenant_scope
from apps.engine.model.choices import RunLevel
from apps.trading.models import (
    AccountState,
    Bot,
    EntryFreeze,
    OrderIntent,
    OutsideTrade,
    PlatformStopEffect,
    PlatformStopRequest,
)
from apps.trading.services.instrument_import import import_keep, import_read, target_of
from apps.trading.services.outside import Shown, outside_settle
from apps.trading.services.positions import position_close
from apps.web.selectors.bots import SLUG_LEVELS
from apps.web.selectors.outside import KINDS
from tests.kit.factories.people import PASSWORD
from tests.web.world import full_world

OTHER_METHODS = ("head", "put", "patch", "delete")
PARTS_OF_THE_CRAWL = 3  # so that several workers share it
PARTS = ("bots", "positions", "orders", "timeline", "banner", "ready", "fills", "notices")
SLUGS = (*SLUG_LEVELS, *PARTS, *KINDS, "nothing")
CLOSE_REQUEST = uuid.UUID("0190f5a4-7b7e-7c3a-9d2b-2f3c4d5e6f70")
# A new random seed or challenge with every look; only what leaks is judged there.
NEVER_TWICE_THE_SAME = {"mfa_activate_totp", "mfa_add_webauthn"}
# They take a form, lead on to another page, or are a file that names no id: the other tests here ask them all the same.
SHOWS_NO_PAGE = {"web:share_add", "web:share_search", "web:share_row", "web:share_export", "web:import_refused"}
ENDS_THE_SESSION = {"account_logout", "usersessions_list", "admin:logout"}
FIELDS = (
    *("bot", "bot_id", "order", "order_id", "position", "position_id", "decision_id", "stop_id", "connection"),
    *(
        "connection_id",
        "notification",
        "notification_id",
        "tenant",
        "tenant_id",
        "id",
        "ids",
        "request_id",
        "next",
        "q",
    ),
)
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_CSRF = re.compile(r"[A-Za-z0-9]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """A named place in the URLconf and the kinds of its parameters."""

    name: str
    kinds: dict[str, str]

    @property
    def takes_an_id(self) -> bool:
        return bool({"uuid", "path", "str", "int"} & set(self.kinds.values()))

    def paths(self, some_id: uuid.UUID) -> Iterator[str]:
        """Return the address with this id, and with every word where it takes a word."""
        choices = {"slug": SLUGS, "uuid": (some_id,), "int": (some_id.int,)}
        values = [choices.get(kind, (str(some_id),)) for kind in self.kinds.values()]
        for chosen in itertools.product(*values):
            yield reverse(self.name, kwargs=dict(zip(self.kinds, chosen, strict=True)))


def _walk(
    patterns: list[URLPattern | URLResolver], space: tuple[str, ...] = (), outer: dict[str, str] | None = None
) -> Iterator[Address | str]:
    for entry in patterns:
        kinds = {**(outer or {}), **_kinds(entry)}
        if isinstance(entry, URLResolver):
            inner = (*space, entry.namespace) if entry.namespace else space
            yield from _walk(entry.url_patterns, inner, kinds)
        elif entry.name is None:
            yield f"{':'.join(space)} {entry.pattern}"
        else:
            yield Address(name=":".join([*space, entry.name]), kinds=kinds)


def _kinds(entry: URLPattern | URLResolver) -> dict[str, str]:
    if isinstance(entry.pattern, RegexPattern):
        return dict.fromkeys(entry.pattern.regex.groupindex, "word")
    return {name: _kind(converter) for name, converter in entry.pattern.converters.items()}


def _kind(converter: object) -> str:
    return type(converter).__name__.removesuffix("Converter").lower().replace("string", "str")


FOUND = list(_walk(get_resolver().url_patterns))
ADDRESSES = [item for item in FOUND if isinstance(item, Address)]
WITH_ID = [item for item in ADDRESSES if item.takes_an_id]
# allauth's reset link has its own alphabet; its key is random and belongs to a person, not to a tenant.
PLAIN = [item for item in ADDRESSES if not item.takes_an_id and "word" not in item.kinds.values()]


# The admin's catch-all, and its old form of a change page, which only leads on to the new one.
UNNAMED = {"staff (?P<url>.*)$", "staff <path:object_id>/"}


def test_addresses_without_a_name_are_the_known_ones():
    assert {item for item in FOUND if isinstance(item, str)} == UNNAMED


@pytest.fixture
def world(db, valkey, clock):
    made = full_world()
    with tenant_scope(made.account.tenant_id):
        _tell_of_outside_trades(made)
        position_close(position_id=made.lot, request_id=CLOSE_REQUEST, actor="process:tests")
        _upload_shares(made)
        _stop_from_above(made)
    return made


def _stop_from_above(made) -> None:
    """Let the operator have stopped the broker for a while, and say what that did here."""
    stop, _lifted = (
        PlatformStopRequest.objects.create(
            scope="broker", key="paper", level=level, requested_by="tests", reason="A test."
        )
        for level in (RunLevel.STOP, RunLevel.RUNNING)
    )
    PlatformStopEffect.objects.create(tenant_id=made.account.tenant_id, stop=stop)


def _upload_shares(made) -> None:
    bot = Bot.objects.select_related("connection").get(pk=made.account.bot_id)
    report = import_read(b"Symbol\nSIMLOTUS\nNOSUCH\n", file_name="Meera.csv", target=target_of(bot))
    import_keep(report=report, bot=bot, actor="process:tests")


def _tell_of_outside_trades(made) -> None:
    """Let shares come from outside: some are answered for, others are not yet."""
    now = database_now()
    EntryFreeze.objects.create(
        connection_id=made.account.connection_id,
        instrument_id=made.account.instrument_ids[2],
        reason=EntryFreeze.Reason.POSITION_DIFFERS,
        data={"broker": 7, "expected": 0, "average_price": "88.25", "seen_at": now.isoformat()},
    )
    AccountState.objects.update(reconciled_at=now, failing_since=None)
    outside_settle(
        connection_id=made.account.connection_id,
        instrument_id=made.account.instrument_ids[2],
        kind=OutsideTrade.Kind.MINE,
        quantity=3,
        price=None,
        market_price=None,
        shown=Shown(broker_quantity=7, lot_quantity=0, baseline_quantity=0),
        request_id=uuid.uuid4(),
        actor="process:tests",
    )


@pytest.fixture
def ids(world) -> dict[str, uuid.UUID]:
    """One row of every kind that the account has."""
    found = {"Tenant": world.account.tenant_id, "Owner": world.owner.pk, "CloseRequest": CLOSE_REQUEST}
    with tenant_scope(world.account.tenant_id):
        for model in tenant_models():
            if row := model.objects.order_by("pk").values_list("pk", flat=True).first():
                found[model.__name__] = row
    return {name: some_id for name, some_id in found.items() if isinstance(some_id, uuid.UUID)}


@pytest.fixture
def canaries(world, ids) -> set[bytes]:
    """Words that belong to the account and to nobody else."""
    words = {"Meera", world.owner.email, world.viewer.email}
    with tenant_scope(world.account.tenant_id):
        words |= set(OrderIntent.objects.values_list("client_order_id", flat=True))
        words |= {str(key) for model in tenant_models() for key in model.objects.values_list("pk", flat=True)}
    return {word.encode() for word in words if word}


def _signed_in(user: User) -> Client:
    """Log in with the password, so that pages which ask for a fresh log-in open too."""
    client = Client(raise_request_exception=False)
    response = client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    assert response.status_code == 302
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    client.get("/home/")
    return client


def _ask(client: Client, method: str, path: str, data: dict[str, str] | None = None) -> tuple[int, bytes, dict]:
    """Send one request and take back whatever it did, so that the next one meets the same world."""
    if path.startswith("/accounts/"):
        cache.clear()  # the throttle would answer the later of two equal requests differently
    client.cookies.pop("messages", None)  # a word about the request before, which the next page would show
    with transaction.atomic():
        response = getattr(client, method)(path, data or {})
        body = b"".join(response.streaming_content) if response.streaming else response.content
        transaction.set_rollback(True)
    return response.status_code, _unpacked(body), dict(response.items())


def _unpacked(body: bytes) -> bytes:
    """Return an Excel file as the text of its parts, in which words and ids can be found."""
    if not body.startswith(b"PK"):
        return body
    with zipfile.ZipFile(io.BytesIO(body)) as book:
        return b"".join(book.read(name) for name in book.namelist())


def _same(answer: tuple[int, bytes, dict], some_id: uuid.UUID) -> tuple:
    """Return the answer without what differs between any two requests: ids and form tokens."""
    status, body, headers = answer

    def plain(text: str) -> str:
        text = text.replace(str(some_id), "ID").replace(some_id.hex, "ID").replace(str(some_id.int), "ID")
        return _CSRF.sub("TOKEN", _UUID.sub("UUID", text))

    kept = {name: plain(value) for name, value in headers.items() if name not in {"Content-Length", "Expires", "Date"}}
    return status, plain(body.decode("utf-8", "replace")), kept


def _fingerprint(world) -> list[tuple]:
    """Return a hash over all rows of the account in every tenant table."""
    found = []
    with tenant_scope(world.account.tenant_id), connection.cursor() as cursor:
        for model in tenant_models():
            table = model._meta.db_table
            cursor.execute(f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table} AS t")
            found.append((table, cursor.fetchone()[0]))
    return found


def _crawl(client, paths_of, methods, ids, canaries, data_of=None) -> tuple[list, list]:
    """Ask for each of the tenant's ids; return answers that differ from a missing one's, and words that leaked."""
    nobody = uuid.uuid4()
    data_of = data_of or (lambda some_id: None)
    differing, leaking = [], []
    for place, missing in enumerate(paths_of(nobody)):
        for method in methods:
            reference = _same(_ask(client, method, missing, data_of(nobody)), nobody)
            # A method that the address does not take is refused before any id is read: two ids show it.
            asked = itertools.islice(ids.items(), 2 if reference[0] == HTTPStatus.METHOD_NOT_ALLOWED else None)
            for kind, some_id in asked:
                path = list(paths_of(some_id))[place]
                answer = _ask(client, method, path, data_of(some_id))
                if _same(answer, some_id) != reference:
                    differing.append((kind, method, path))
                echoed = answer[1].replace(str(some_id).encode(), b"")
                leaking += [(word, method, path) for word in canaries if word in echoed]
    return differing, leaking


@pytest.mark.parametrize("part", range(PARTS_OF_THE_CRAWL))
def test_stranger_gets_the_answer_of_a_thing_that_does_not_exist(world, ids, canaries, part):
    client = _signed_in(world.stranger)
    before = _fingerprint(world)
    found = {}

    for address in WITH_ID[part::PARTS_OF_THE_CRAWL]:
        is_page = not address.name.startswith("admin:")
        asked = ids if is_page else {kind: ids[kind] for kind in ("Tenant", "Owner")}
        for methods, some in (
            (("get", "post"), asked),
            (OTHER_METHODS, {"Bot": ids["Bot"], "OrderIntent": ids["OrderIntent"]}),
        ):
            differing, leaking = _crawl(client, address.paths, methods, some, canaries)
            if differing or leaking:
                found[address.name] = (differing, leaking)

    assert found == {}
    assert _fingerprint(world) == before


def test_stranger_naming_anothers_things_in_a_form_gets_none_of_them(world, ids, canaries):
    client = _signed_in(world.stranger)
    before = _fingerprint(world)
    found = {}

    for address in PLAIN:
        methods = ("get",) if address.name in ENDS_THE_SESSION else ("get", "post")
        kinds = ("Tenant", "Owner", "Bot", "OrderIntent", "Decision", "Notification")
        some = {kind: ids[kind] for kind in (kinds if address.name.startswith("web:") else kinds[:1])}
        fields = lambda some_id: dict.fromkeys(FIELDS, str(some_id))  # noqa: E731
        differing, leaking = _crawl(client, address.paths, methods, some, canaries, fields)
        if (differing and address.name not in NEVER_TWICE_THE_SAME) or leaking:
            found[address.name] = (differing, leaking)

    assert found == {}
    assert _fingerprint(world) == before


def test_person_who_is_not_signed_in_sees_nothing_of_anybody(world, ids, canaries):
    client = Client(raise_request_exception=False)
    leaking = []

    for address in ADDRESSES:
        if "word" in address.kinds.values():
            continue
        for some_id in (ids["Tenant"], ids["Bot"], ids["OrderIntent"], ids["Decision"], ids["StopRequest"]):
            for path in address.paths(some_id):
                body = _ask(client, "get", path)[1].replace(str(some_id).encode(), b"")
                leaking += [(word, path) for word in canaries if word in body]

    assert leaking == []


def test_owner_is_answered_where_the_stranger_was_not(world, ids, canaries):
    """The crawl means something: the same requests show the owner things."""
    client = _signed_in(world.owner)
    pages = [address for address in WITH_ID if address.name.startswith("web:") and address.name not in SHOWS_NO_PAGE]

    def is_shown(path: str) -> bool:
        status, body, _ = _ask(client, "get", path)
        if status == 405:  # a form's address
            return _ask(client, "post", path)[0] == 302
        return status == 200 and any(word in body for word in canaries)

    silent = [
        address.name
        for address in pages
        if not any(is_shown(path) for some_id in ids.values() for path in address.paths(some_id))
    ]

    assert len(pages) >= 6
    assert silent == []
