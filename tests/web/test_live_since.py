import pytest
from django.db import connections

from apps.common import outbox
from apps.common.db import tenant_scope
from apps.common.models import TenantStream


def test_answer_holds_the_events_after_a_number(world, owner, monkeypatch) -> None:
    seen = []

    def since(seq: int) -> outbox.StreamSlice:
        seen.append(seq)
        event = outbox.LiveEvent(seq=8, kind="FillBooked", data={"quantity": 3}, at=None)
        return outbox.StreamSlice(events=(event,), last_seq=8, is_complete=True)

    monkeypatch.setattr(outbox, "events_since", since)

    answer = owner.get("/live/since/?seq=7").json()

    assert seen == [7]
    assert answer == {
        "seq": 8,
        "complete": True,
        "events": [{"seq": 8, "kind": "FillBooked", "data": {"quantity": 3}}],
    }


@pytest.mark.parametrize("seq", ["", "-1", "1.5", "x", "٣", "9" * 30])
def test_number_that_is_none_is_refused(owner, seq) -> None:
    assert owner.get("/live/since/", {"seq": seq}).status_code == 400


def test_gap_whose_events_are_pruned_is_not_complete(committed_world, committed_owner) -> None:
    assert outbox.number_events() > 3
    answer = committed_owner.get("/live/since/?seq=0").json()
    assert answer["complete"] is True
    assert [event["seq"] for event in answer["events"]] == list(range(1, answer["seq"] + 1))

    with connections["relay"].cursor() as cursor:
        cursor.execute("DELETE FROM common_outboxevent WHERE seq = 2")

    assert committed_owner.get("/live/since/?seq=0").json()["complete"] is False
    assert committed_owner.get("/live/since/?seq=2").json()["complete"] is True


def test_stranger_gets_a_stream_of_their_own(committed_world, committed_stranger) -> None:
    outbox.number_events()
    with tenant_scope(committed_world.account.tenant_id):
        last = TenantStream.objects.get(tenant_id=committed_world.account.tenant_id).last_seq

    answer = committed_stranger.get("/live/since/?seq=0").json()

    assert answer["seq"] < last
    assert all(event["kind"] == "TenantCreated" for event in answer["events"])
