"""What each screen costs: queries, and bytes over the wire. `make screen-costs` writes the table of docs/screens.md."""

import gzip
import os
import re
from dataclasses import dataclass
from pathlib import Path

from django.contrib.staticfiles import finders
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.web.world import World

ROOT = Path(__file__).resolve().parent.parent.parent
TABLE = ROOT / "docs" / "screens.md"
MOST_BYTES = 300_000  # of the page itself; the charts come on top of it
MOST_QUERIES = 12
ASKS_MORE = {"/instruments/": 15}  # rows, prices, readings, lots, limits, plan and markets, each once for all shares
# Statements that open a tenant's scope and guard it: they read and write no row.
OWN_OF_EVERY_PAGE = re.compile(r"^(SAVEPOINT|RELEASE SAVEPOINT|SELECT set_config|SET LOCAL|RESET)", re.IGNORECASE)
CHART = "lightweight-charts"
HEAD = """# What each screen costs

Made by `make screen-costs` from the account that the page tests use (a bot with three shares, a few orders). *Queries* are
those that read or write rows; setting a tenant's scope and savepoints are left out. *Page* is the compressed HTML, *all*
adds the styles, scripts, fonts and pictures that it names, as an empty cache fetches them, without the chart library. The limits are
12 queries and 300 kB; Instruments asks more and is listed in the test as the one that may.

| screen | queries | page, kB | all, kB |
|---|---:|---:|---:|
"""


@dataclass(frozen=True)
class Cost:
    """One screen: its address with ids left out, its queries, its bytes."""

    path: str
    queries: int
    page: int
    whole: int


def paths_of(world: World) -> list[str]:
    bot = world.account.bot_id
    return [
        "/home/",
        "/equity/",
        f"/bots/{bot}/idle/",
        f"/bots/{bot}/level/stop/",
        f"/bots/{bot}/level/flatten/",
        "/positions/",
        "/positions/close-all/",
        f"/positions/{world.lot}/close/",
        f"/positions/{world.lot}/levels/",
        f"/positions/{world.lot}/why/",
        "/instruments/",
        f"/bots/{bot}/shares/import/",
        "/orders/",
        f"/orders/{world.filled}/",
        "/trades/",
        "/settings/strategy/",
        "/settings/account/",
        "/notifications/",
        "/notifications/choices/",
        f"/decisions/{world.decision}/replay/",
    ]


def squeezed(data: bytes) -> int:
    return len(gzip.compress(data, 6))


def file_of(name: str) -> Path:
    found = finders.find(name)
    assert isinstance(found, str), name
    return Path(found)


def named_by(page: str) -> set[str]:
    """Return the static files that a page fetches, and those that its scripts name in turn."""
    found = {name.partition("#")[0] for name in re.findall(r'(?:href|src)="/static/([^"]+)"', page)}
    for name in sorted(found):
        if name.startswith("js/"):
            found |= {f"js/{other}" for other in re.findall(r'from "\./([^"]+)"', file_of(name).read_text())}
    return {name for name in found if CHART not in name}


def bytes_of(name: str) -> int:
    data = file_of(name).read_bytes()
    return len(data) if name.endswith((".woff2", ".webp", ".png")) else squeezed(data)


def cost_of(client: Client, path: str) -> Cost:
    client.get(path)  # the second look is what a reader gets: the first fills what a process keeps
    with CaptureQueriesContext(connection) as captured:
        response = client.get(path)
    assert response.status_code == 200, path
    content = response.content
    asked = [query["sql"] for query in captured if not OWN_OF_EVERY_PAGE.match(query["sql"])]
    page = squeezed(content)
    return Cost(
        path=re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "…", path),
        queries=len(asked),
        page=page,
        whole=page + sum(bytes_of(name) for name in named_by(content.decode())),
    )


def test_every_screen_keeps_to_its_queries_and_its_weight(world, owner) -> None:
    public = [cost_of(Client(), path) for path in ("/", "/strategy/", "/accounts/login/", "/accounts/signup/")]
    inside = [cost_of(owner, path) for path in paths_of(world)]

    if os.environ.get("ARUN_WRITE_SCREEN_COSTS"):
        TABLE.write_text(
            HEAD
            + "".join(
                f"| `{c.path}` | {c.queries} | {c.page / 1000:.1f} | {c.whole / 1000:.1f} |\n"
                for c in (*public, *inside)
            )
        )

    assert {cost.path: cost.whole for cost in (*public, *inside) if cost.whole > MOST_BYTES} == {}
    assert {
        cost.path: cost.queries for cost in (*public, *inside) if cost.queries > ASKS_MORE.get(cost.path, MOST_QUERIES)
    } == {}
    listed = re.findall(r"^\| `([^`]+)`", TABLE.read_text(), re.MULTILINE)
    assert listed == [cost.path for cost in (*public, *inside)], "make screen-costs writes the table anew"
