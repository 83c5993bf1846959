"""The run's output: one line at a time, each with the name of the process that wrote it."""

import os
import sys
from collections.abc import Sequence

COLORS = (36, 33, 32, 35, 34, 96, 93, 92, 95)
NAME_WIDTH = 9
OWN_NAME = "arun"


class Console:
    """Writes prefixed lines to standard output; colored on a terminal, silent once nobody reads."""

    def __init__(self) -> None:
        self._colored = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._seen: list[str] = [OWN_NAME]
        self._open = True

    def line(self, name: str, text: str) -> None:
        """Write one line of the process `name`."""
        prefix = f"{name:<{NAME_WIDTH}} | "
        if self._colored:
            if name not in self._seen:
                self._seen.append(name)
            prefix = f"\x1b[{COLORS[self._seen.index(name) % len(COLORS)]}m{prefix}\x1b[0m"
        self._write(f"{prefix}{text}\n")

    def say(self, text: str) -> None:
        """Write a line of the supervisor itself."""
        self.line(OWN_NAME, text)

    def banner(self, lines: Sequence[str]) -> None:
        """Write lines that should catch the eye."""
        for text in ("", *lines, ""):
            self.say(text)

    def _write(self, text: str) -> None:
        if not self._open:
            return
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except (BrokenPipeError, ValueError):  # the reader went away; the run itself goes on
            self._open = False
