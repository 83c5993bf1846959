"""A supervisor with the processes that the command line names: `small_run.py <folder> name:command ...`.

A name that starts with `last` is stopped after the others.
"""

import os
import sys
from pathlib import Path

from arun_saas.embedded.children import Child, shell_launcher
from arun_saas.embedded.console import Console
from arun_saas.embedded.errors import EmbeddedRunError
from arun_saas.embedded.home import Home
from arun_saas.embedded.leftovers import Guard, end_leftovers
from arun_saas.embedded.supervisor import StopRequested, Supervisor


def main(folder: str, *processes: str) -> None:
    home = Home(Path(folder))
    try:
        home.claim()
    except EmbeddedRunError as error:
        sys.exit(str(error))
    print("ended", end_leftovers(home), flush=True)
    supervisor = Supervisor(home, Console())
    supervisor.listen_to_signals()
    guard = Guard.start(home)
    try:
        for process in processes:
            name, command = process.split(":", 1)
            launch = shell_launcher(command, environment=os.environ, cwd=Path(folder))
            supervisor.add(Child(name=name, launch=launch, stop_seconds=1.0))
        print("started", flush=True)
        while True:
            supervisor.step(0.02)
    except StopRequested:
        print("asked to stop", flush=True)
    except EmbeddedRunError as error:
        print(error, flush=True)
    finally:
        supervisor.stop_all([[process.split(":")[0] for process in processes if process.startswith("last")]])
        guard.dismiss()


if __name__ == "__main__":
    main(*sys.argv[1:])
