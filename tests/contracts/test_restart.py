"""The venue is killed in the middle of things; nothing it accepted is lost, nothing is made up."""

import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest

from apps.brokers.errors import NotSentError
from apps.brokers.writes import Accepted, OutcomeUnknown
from apps.engine.model.choices import Observation
from tests.contracts.conftest import Bench, bench_of
from tests.kit.database import TestDatabases
from tests.kit.processes import wait_for
from tests.kit.venue import Venue, running_venue


@pytest.fixture
def venue(worker_databases: TestDatabases, tmp_path) -> Iterator[Venue]:
    with running_venue(tmp_path, worker_databases) as running:
        yield running


@pytest.fixture
def bench(venue: Venue) -> Bench:
    return bench_of(venue, venue.open_account())


def test_accepted_orders_survive_a_kill_and_go_on_filling(bench: Bench):
    resting, large = bench.resting_order(), bench.order(quantity=900)
    bench.venue.limit_fills(bench.account, 300)
    assert isinstance(bench.send(resting), Accepted)
    assert isinstance(bench.send(large), Accepted)

    bench.venue.kill()
    with pytest.raises(NotSentError):
        bench.writes.channel().open()
    bench.venue.start()

    filled = bench.wait_until_filled(large.client_order_id)
    seconds = [fill.at for fill in bench.reads.trades().rows]
    assert filled.filled_quantity == 900
    assert {(later - earlier).total_seconds() for earlier, later in pairwise(seconds)} == {1}
    assert bench.book_row(resting.client_order_id).observation is Observation.OPEN


def test_late_request_survives_a_kill(bench: Bench):
    bench.spoil("accept_late", seconds=0.5)
    request = bench.resting_order()
    bench.send(request, deadline_seconds=0.2)

    bench.venue.kill()
    before = bench.truth()
    bench.venue.start()

    wait_for(lambda: len(bench.truth()) == 1, seconds=5, what="the late order")
    assert before == []
    assert bench.truth()[0][0] == request.client_order_id


def test_kill_under_a_stream_of_orders_loses_no_answered_one(bench: Bench):
    """Whatever was answered is there; what was not answered is there once or not at all; the log decides every one."""
    requests = [bench.resting_order(quantity=1) for _ in range(60)]
    outcomes: dict[str, object] = {}

    def send_all() -> None:
        for request in requests:
            try:
                outcomes[request.client_order_id] = bench.send(request)
            except NotSentError as error:
                outcomes[request.client_order_id] = error

    sender = threading.Thread(target=send_all)
    sender.start()
    wait_for(lambda: len(outcomes) >= 10, seconds=20, what="the first ten answers")
    bench.venue.kill()
    sender.join()
    bench.venue.start()

    tags = [row[0] for row in bench.truth()]
    log = bench.venue.log(bench.account)
    decided = {line["request"]: line for line in log if line["event"] in {"decided", "recovered"}}
    received = {line["request"]: line["tag"] for line in log if line["event"] == "received"}
    assert len(tags) == len(set(tags))
    assert {tag for tag, outcome in outcomes.items() if isinstance(outcome, Accepted)} <= set(tags)
    assert not {tag for tag, outcome in outcomes.items() if isinstance(outcome, NotSentError)} & set(tags)
    assert all(isinstance(outcome, Accepted | NotSentError | OutcomeUnknown) for outcome in outcomes.values())
    assert set(received) == set(decided)
    assert sorted(tags) == sorted(tag for request, tag in received.items() if decided[request]["decided"] == "accepted")
