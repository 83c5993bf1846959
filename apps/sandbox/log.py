"""The venue's log: what arrived, when its first byte did, and what was made of it. The ground truth of every proof.

One JSON object a line, appended and forced to disk before the venue goes on. A write request has two lines: `received`
before it is looked at, `decided` after its transaction and before its answer. A kill in between leaves the first
alone; the next start finds it, asks the tables what became of the request and appends `recovered`.
"""

import json
import os
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path

from apps.common import clock

LARGEST_FILE_BYTES = 128 * 1024 * 1024
KEPT_FILES = 8

Record = Mapping[str, object]
_Entry = tuple[bytes, "Future[None]"]


class VenueLog:
    """Appends lines from any thread; lines that wait together share one flush to disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        _rotate(path)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        _end_last_line(path, self._file)
        self._entries: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="venue-log", daemon=True)
        self._writer.start()

    def append(self, event: str, record: Record) -> "Future[None]":
        """Queue a line and return a future that is done when the line is on the disk."""
        line = {"event": event, "wall_ns": time.time_ns(), "at": clock.now().isoformat(), **record}
        done: Future[None] = Future()
        self._entries.put((json.dumps(line, separators=(",", ":"), default=str).encode() + b"\n", done))
        return done

    def close(self) -> None:
        """Write what is queued and close the file."""
        self._entries.put(None)
        self._writer.join()
        os.close(self._file)

    def _write(self) -> None:
        while (first := self._entries.get()) is not None:
            batch, is_last = [first], False
            while not self._entries.empty():
                entry = self._entries.get()
                if entry is None:
                    is_last = True
                    break
                batch.append(entry)
            self._write_batch(batch)
            if is_last:
                return

    def _write_batch(self, batch: list[_Entry]) -> None:
        try:
            _write_all(self._file, b"".join(line for line, _ in batch))
            os.fdatasync(self._file)
        except OSError as error:
            for _, done in batch:
                done.set_exception(error)
            return
        for _, done in batch:
            done.set_result(None)


def read_log(path: Path) -> Iterator[dict[str, object]]:
    """Return the log's lines, oldest first; a line cut off by a kill is left out."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"}\n"):
                yield json.loads(line)


def undecided_requests(path: Path) -> list[str]:
    """Return the ids of the requests that were received and of whose decision the log knows nothing."""
    waiting: dict[str, None] = {}
    for line in read_log(path):
        request = str(line.get("request", ""))
        if line["event"] == "received":
            waiting[request] = None
        elif line["event"] in {"decided", "recovered"}:
            waiting.pop(request, None)
    return list(waiting)


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _end_last_line(path: Path, file: int) -> None:
    """End a line that a kill cut off, so that the next one stands on its own."""
    with path.open("rb") as reader:
        if reader.seek(0, os.SEEK_END) == 0:
            return
        reader.seek(-1, os.SEEK_END)
        if reader.read(1) != b"\n":
            _write_all(file, b"\n")


def _rotate(path: Path) -> None:
    """Move a large file aside at start-up and drop the oldest ones."""
    if not path.exists() or path.stat().st_size < LARGEST_FILE_BYTES:
        return
    path.rename(path.with_name(f"{path.name}.{time.time_ns()}"))
    for old in sorted(path.parent.glob(f"{path.name}.*"))[:-KEPT_FILES]:
        old.unlink()
