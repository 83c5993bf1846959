import json
import threading

from apps.sandbox.log import LARGEST_FILE_BYTES, VenueLog, read_log, undecided_requests


def test_line_is_on_the_disk_when_its_future_is_done(tmp_path):
    log = VenueLog(tmp_path / "sandbox" / "venue.log")

    log.append("received", {"request": "a", "tag": "T"}).result(timeout=5)

    line = json.loads(log.path.read_text())
    log.close()
    assert (line["event"], line["request"], line["tag"]) == ("received", "a", "T")
    assert isinstance(line["wall_ns"], int)
    assert log.path.stat().st_mode & 0o777 == 0o600


def test_lines_of_many_threads_stay_whole_and_complete(tmp_path):
    log = VenueLog(tmp_path / "venue.log")

    def write(name: int) -> None:
        for number in range(50):
            log.append("read", {"request": f"{name}-{number}", "padding": "x" * 500}).result(timeout=10)

    threads = [threading.Thread(target=write, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()

    assert {line["request"] for line in read_log(log.path)} == {f"{a}-{b}" for a in range(8) for b in range(50)}


def test_closing_writes_what_is_queued(tmp_path):
    log = VenueLog(tmp_path / "venue.log")
    for number in range(100):
        log.append("read", {"request": str(number)})

    log.close()

    assert len(list(read_log(log.path))) == 100


def test_request_without_a_decision_is_found(tmp_path):
    log = VenueLog(tmp_path / "venue.log")
    for event, request in [
        ("received", "a"),
        ("decided", "a"),
        ("received", "b"),
        ("received", "c"),
        ("recovered", "c"),
    ]:
        log.append(event, {"request": request})
    log.close()

    assert undecided_requests(log.path) == ["b"]


def test_line_that_a_kill_cut_off_does_not_spoil_the_next(tmp_path):
    path = tmp_path / "venue.log"
    log = VenueLog(path)
    log.append("received", {"request": "a"})
    log.close()
    with path.open("ab") as file:
        file.write(b'{"event":"decided","requ')

    log = VenueLog(path)
    log.append("received", {"request": "b"})
    log.close()

    assert [line["request"] for line in read_log(path)] == ["a", "b"]
    assert undecided_requests(path) == ["a", "b"]


def test_large_log_is_put_aside_at_start(tmp_path):
    path = tmp_path / "venue.log"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE_BYTES)

    VenueLog(path).close()

    assert path.stat().st_size == 0
    assert [item.stat().st_size for item in tmp_path.glob("venue.log.*")] == [LARGEST_FILE_BYTES]
