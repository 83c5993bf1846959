"""Reads the Procfile: one `name: command` a line."""

import re
from pathlib import Path

from .errors import EmbeddedRunError

LINE = re.compile(r"(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>\S.*)")


def read_procfile(path: Path) -> dict[str, str]:
    """Return each process's command by its name, in the file's order."""
    commands: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = LINE.fullmatch(line.strip())
        if match is None or match["name"] in commands:
            raise EmbeddedRunError(f"{path.name}, line {number}: expected a new `name: command`, got {line!r}.")
        commands[match["name"]] = match["command"]
    return commands
