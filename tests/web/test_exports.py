"""The orders as a file: filtered like the page, harmless in a spreadsheet, and written into the audit log."""

import csv
import io

import pytest

from apps.common.db import tenant_scope
from apps.common.models import AuditEntry
from apps.web.exports import cell


def rows(client, query="") -> list[dict[str, str]]:
    response = client.get(f"/orders/export.csv{query}")
    assert (response.status_code, response["Content-Type"]) == (200, "text/csv; charset=utf-8")
    return list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode("utf-8-sig"))))


def test_file_holds_what_the_filter_lets_through_with_its_label(world, owner):
    (row,) = rows(owner, "?day=all&show=filled")

    assert (row["Label"], row["Order"], row["Share"], row["Shares"]) == (
        "SIMULATED",
        str(world.filled),
        "SIMLOTUS",
        "10",
    )
    assert len(rows(owner, "?day=all")) == 2


def test_export_is_audited_and_slowed_down(world, owner):
    answers = [owner.get("/orders/export.csv").status_code for _time in range(22)]

    assert answers == [200] * 20 + [429] * 2
    with tenant_scope(world.account.tenant_id):
        assert AuditEntry.objects.filter(action="orders.exported").count() == 20


def test_stranger_gets_none_of_another_tenants_orders(world, stranger):
    assert rows(stranger, f"?day=all&bot={world.account.bot_id}") == []


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\uff1d1"])
def test_text_that_looks_like_a_formula_is_no_formula(text):
    assert cell(text) == f"'{text}"


def test_numbers_stay_numbers():
    assert [cell(-5), cell(None), cell("SIM-A")] == ["-5", "", "SIM-A"]
