"""`python -m arun_saas.embedded`: run everything; with `exec command ...`: run a command beside a running copy."""

import os
import sys
from pathlib import Path

from .environment import base_environment, chosen_port, embedded_databases, redis_addresses
from .home import Home
from .postgres import PostgresServer, find_place
from .run import ROOT, main
from .valkey import ValkeyServer


def execute(command: list[str]) -> None:
    """Replace this process by `command`, with the environment of the copy that runs in ARUN_DATA."""
    home = Home(Path(os.environ.get("ARUN_DATA") or ROOT / ".arun"))
    ports, kept = home.ports_in_use(), home.secrets()
    environment = base_environment(home, port=chosen_port(os.environ), ports=ports)
    if not os.environ.get("REDIS_URL"):
        valkey = ValkeyServer(folder=home.folder / "valkey", port=ports["valkey"], password=kept["valkey"])
        environment |= redis_addresses(valkey)
    if not os.environ.get("DATABASE_URL"):
        place = find_place(home.folder, cluster=kept["cluster"])
        postgres = PostgresServer(place=place, port=ports["postgres"], password=kept["postgres"])
        environment |= embedded_databases(postgres, passwords=kept)
    os.execvpe(command[0], command, environment)  # noqa: S606 - the command is the user's own


if __name__ == "__main__":
    if sys.argv[1:2] == ["exec"]:
        execute(sys.argv[2:])
    sys.exit(main())
