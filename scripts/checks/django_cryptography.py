"""Show why broker credentials are not sealed with django-cryptography (docs/adr/0001-no-django-cryptography.md).

python scripts/checks/django_cryptography.py

Needs a package index and nothing else: it makes virtual environments in a temporary folder, installs the packages
there, and removes the folder. It ends with 1 when a statement of the decision record is no longer true.
"""

import subprocess
import sys
import tempfile
import venv
from datetime import UTC, datetime
from pathlib import Path

DJANGO = "Django>=5.2,<5.3"
PROBES = Path(__file__).resolve().parent / "django_cryptography_probes"
OLD_KEY = "the first key of this installation"
NEW_KEY = "the key that replaced it"


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def environment(folder: Path, *requirements: str) -> Path:
    """Make a virtual environment with these packages and return its interpreter."""
    say(f"\n== {', '.join(requirements)}")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True, stderr=subprocess.DEVNULL)
    return python


def run(python: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    # Isolated (-I): without it, this very file would be found as the module django_cryptography.
    return subprocess.run(
        [str(python), "-I", *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )


def original_does_not_import(folder: Path) -> bool:
    python = environment(folder / "original", "django-cryptography==1.1", DJANGO)
    say(run(python, PROBES / "versions.py").stdout.rstrip())
    done = run(python, "-c", "import django_cryptography.fields")
    say(f"import django_cryptography.fields -> {(done.stderr.strip() or 'no error').splitlines()[-1]}")
    return done.returncode != 0 and "ImportError" in done.stderr


def fork_is_unsafe(folder: Path) -> bool:
    python = environment(folder / "fork", "django-cryptography-5", DJANGO)
    say(run(python, PROBES / "versions.py").stdout.rstrip())
    database = folder / "fork.sqlite3"
    shown = True
    for step, key in (("write", OLD_KEY), ("swap", OLD_KEY), ("unpickle", OLD_KEY), ("rotate", NEW_KEY)):
        done = run(python, PROBES / "fork.py", database, step, key, OLD_KEY)
        say(done.stdout.rstrip() or done.stderr.rstrip())
        shown = shown and done.returncode == 0
    return shown


def bound_ciphertext_refuses(folder: Path) -> bool:
    python = environment(folder / "bound", "cryptography")
    done = run(python, PROBES / "bound.py")
    say(done.stdout.rstrip() or done.stderr.rstrip())
    return done.returncode == 0


def main() -> int:
    say(f"{datetime.now(UTC):%Y-%m-%d}, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory(prefix="arun-check-") as name:
        folder = Path(name)
        results = {
            "django-cryptography 1.1 does not import": original_does_not_import(folder),
            "its fork moves, unpickles and cannot rotate": fork_is_unsafe(folder),
            "AES-256-GCM with associated data refuses the swap": bound_ciphertext_refuses(folder),
        }
    say("")
    for statement, held in results.items():
        say(f"{'holds' if held else 'NO LONGER HOLDS'}: {statement}")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
