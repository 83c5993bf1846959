"""The gateway's slots: half for one broker, some for what is urgent, and nobody waits in one for another."""

import random
import threading
import time
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from apps.trading.gateway.desk import LONGEST_LINE, Desk, Job
from tests.kit.processes import wait_for


class Work:
    """Jobs that run until they are let go; `running` and `begun` show what the desk made of them."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.begun: list[str] = []
        self.doors: dict[str, threading.Event] = {}
        self.lock = threading.Lock()

    def job(self, label: str, *, broker: str = "a", urgent: bool = False, name: UUID | None = None) -> Job:
        self.doors[label] = threading.Event()

        def run() -> None:
            with self.lock:
                self.begun.append(label)
                self.running.append(label)
            assert self.doors[label].wait(20)
            with self.lock:
                self.running.remove(label)

        return Job(name=("order", name or uuid4()), broker=broker, is_urgent=urgent, run=run)

    def let_go(self, *labels: str) -> None:
        for label in labels or tuple(self.doors):
            self.doors[label].set()


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def desks(work: Work) -> Iterator[list[Desk]]:
    made: list[Desk] = []
    yield made
    work.let_go()
    for desk in made:
        desk.close()
        assert desk.wait(seconds=10)


@pytest.fixture
def desk(desks: list[Desk]) -> Desk:
    """Eight slots, two of them for urgent work: four for one broker, three of these for its ordinary work."""
    desks.append(Desk("test", slots=8, kept_for_urgent=2))
    return desks[0]


def settle(work: Work, count: int) -> None:
    """Wait until so many run, and long enough to see that no more begin."""
    wait_for(lambda: len(work.running) >= count, seconds=5, what=f"{count} running jobs")
    time.sleep(0.05)
    assert len(work.running) == count


def test_one_broker_gets_half_the_slots_and_another_begins_at_once(desk: Desk, work: Work) -> None:
    for number in range(8):
        desk.offer(work.job(f"a{number}", urgent=True))
    settle(work, 4)

    desk.offer(work.job("b", broker="b", urgent=True))

    wait_for(lambda: "b" in work.running, seconds=1, what="the other broker's job")


def test_slot_that_a_broker_frees_goes_to_its_next_job(desk: Desk, work: Work) -> None:
    for number in range(5):
        desk.offer(work.job(f"a{number}", urgent=True))
    settle(work, 4)

    work.let_go("a0")

    wait_for(lambda: "a4" in work.running, seconds=1, what="the job that stood in line")


def test_ordinary_work_of_all_brokers_leaves_the_kept_slots_free(desk: Desk, work: Work) -> None:
    for broker in ("a", "b", "c", "d"):
        for number in range(4):
            desk.offer(work.job(f"{broker}{number}", broker=broker))
    settle(work, 6)

    for number in range(2):
        desk.offer(work.job(f"sale{number}", broker="e", urgent=True))

    wait_for(lambda: len(work.running) == 8, seconds=1, what="the sales")


def test_sale_does_not_wait_for_purchases_of_its_own_broker(desk: Desk, work: Work) -> None:
    for number in range(8):
        desk.offer(work.job(f"a{number}"))
    settle(work, 3)

    desk.offer(work.job("sale", urgent=True))

    wait_for(lambda: "sale" in work.running, seconds=1, what="the sale")


def test_urgent_work_comes_before_older_work(desks: list[Desk], work: Work) -> None:
    desks.append(Desk("test", slots=1))
    desks[0].offer(work.job("first", broker=""))
    settle(work, 1)
    for label in ("purchase", "reading"):
        desks[0].offer(work.job(label, broker=""))
    desks[0].offer(work.job("sale", broker="", urgent=True))

    work.let_go()
    wait_for(lambda: len(work.begun) == 4, seconds=5, what="all of them")

    assert work.begun == ["first", "sale", "purchase", "reading"]


def test_job_that_waits_or_runs_is_not_taken_twice(desks: list[Desk], work: Work) -> None:
    desks.append(Desk("test", slots=1))
    name, other = uuid4(), uuid4()
    assert desks[0].offer(work.job("runs", broker="", name=name))
    settle(work, 1)
    assert desks[0].offer(work.job("waits", broker="", name=other))

    assert not desks[0].offer(work.job("runs again", broker="", name=name))
    assert not desks[0].offer(work.job("waits again", broker="", name=other))

    work.let_go()
    wait_for(lambda: not work.running and len(work.begun) == 2, seconds=5, what="both")
    wait_for(lambda: desks[0].offer(work.job("later", broker="", name=name)), seconds=5, what="the name to be free")


def test_line_of_one_broker_is_bounded_and_others_have_their_own(desk: Desk, work: Work) -> None:
    taken = [desk.offer(work.job(f"a{number}")) for number in range(LONGEST_LINE + 10)]

    assert taken.count(True) <= LONGEST_LINE + 3
    assert taken[-1] is False
    assert desk.offer(work.job("b", broker="b"))
    assert desk.offer(work.job("sale", urgent=True))


def test_job_that_fails_costs_no_slot(desks: list[Desk], work: Work) -> None:
    desks.append(Desk("test", slots=1))
    name = uuid4()

    def fail() -> None:
        raise RuntimeError("a defect")

    desks[0].offer(Job(name=("order", name), broker="a", is_urgent=False, run=fail))
    wait_for(lambda: desks[0].offer(work.job("next", name=name)), seconds=5, what="the name to be free")

    wait_for(lambda: work.running == ["next"], seconds=5, what="the next job")


def test_closing_drops_the_line_and_waits_for_what_runs(desks: list[Desk], work: Work) -> None:
    desks.append(Desk("test", slots=1))
    desks[0].offer(work.job("runs"))
    settle(work, 1)
    desks[0].offer(work.job("waits"))

    desks[0].close()

    assert not desks[0].offer(work.job("too late"))
    assert desks[0].wait(seconds=0.05) is False
    work.let_go()
    assert desks[0].wait(seconds=5) is True
    assert work.begun == ["runs"]


def test_desk_refuses_to_keep_every_slot(desks: list[Desk]) -> None:
    with pytest.raises(ValueError, match="fewer slots kept"):
        Desk("test", slots=2, kept_for_urgent=2)


@pytest.mark.parametrize("seed", range(3))
def test_shares_hold_whatever_comes_and_goes(desk: Desk, seed: int) -> None:
    """300 jobs of three brokers, each as long as it likes: no share is ever exceeded, and all of them are done."""
    draw = random.Random(seed)
    lock = threading.Lock()
    running: list[Job] = []
    done: list[Job] = []
    breaches: list[str] = []

    def job() -> Job:
        pause = draw.random() * 0.004

        def run() -> None:
            with lock:
                running.append(mine)
                ordinary = [one for one in running if not one.is_urgent]
                of_broker = [one for one in running if one.broker == mine.broker]
                if len(of_broker) > 4 or len(ordinary) > 6 or len(running) > 8:
                    breaches.append(
                        f"{len(of_broker)} of {mine.broker}, {len(ordinary)} ordinary, {len(running)} in all"
                    )
                if sum(not one.is_urgent for one in of_broker) > 3:
                    breaches.append(f"ordinary work of {mine.broker} took the whole share")
            time.sleep(pause)
            with lock:
                running.remove(mine)
                done.append(mine)

        mine = Job(name=("order", uuid4()), broker=draw.choice("abc"), is_urgent=draw.random() < 0.4, run=run)
        return mine

    for _number in range(300):
        while not desk.offer(job()):
            time.sleep(0.001)

    wait_for(lambda: len(done) == 300, seconds=20, what="all jobs")
    assert breaches == []
