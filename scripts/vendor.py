"""Fetch the browser files that ARUN serves itself, or check that they are what the manifest says.

python scripts/vendor.py            fetch the pinned versions with npm and rewrite the manifests
python scripts/vendor.py --check    compare every file with its manifest; no network
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / "static" / "vendor"
TESTS = ROOT / "tests" / "e2e" / "vendor"


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """One package, its pinned version, and the files of it that are kept: path inside the package to our name."""

    name: str
    version: str
    licence: str
    folder: Path
    files: dict[str, str]


PACKAGES = (
    Package(
        name="htmx.org",
        version="2.0.11",
        licence="0BSD",
        folder=STATIC,
        files={"dist/htmx.min.js": "htmx/htmx.min.js", "LICENSE": "htmx/LICENSE"},
    ),
    Package(
        name="lightweight-charts",
        version="5.2.1",
        licence="Apache-2.0",
        folder=STATIC,
        files={
            "dist/lightweight-charts.standalone.production.mjs": "lightweight-charts/lightweight-charts.mjs",
            "LICENSE": "lightweight-charts/LICENSE",
        },
    ),
    Package(
        name="@fontsource-variable/inter",
        version="5.3.0",
        licence="OFL-1.1",
        folder=STATIC,
        files={
            "files/inter-latin-wght-normal.woff2": "inter/inter-latin.woff2",
            # The rupee sign is in the extended subset.
            "files/inter-latin-ext-wght-normal.woff2": "inter/inter-latin-ext.woff2",
            "LICENSE": "inter/LICENSE",
        },
    ),
    Package(
        name="axe-core",
        version="4.14.1",
        licence="MPL-2.0",
        folder=TESTS,
        files={"axe.min.js": "axe-core/axe.min.js", "LICENSE": "axe-core/LICENSE"},
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Fetch or check the vendored browser files.")
    parser.add_argument("--check", action="store_true", help="compare with the manifests, without network")
    if parser.parse_args().check:
        wrong = [line for folder in (STATIC, TESTS) for line in differences(folder)]
        sys.stderr.writelines(f"{line}\n" for line in wrong)
        return 1 if wrong else 0
    for package in PACKAGES:
        fetch(package)
    for folder in (STATIC, TESTS):
        write_manifest(folder)
    return 0


def fetch(package: Package) -> None:
    """Download one package with npm and keep its listed files."""
    with tempfile.TemporaryDirectory() as work:
        subprocess.run(["npm", "pack", "--silent", f"{package.name}@{package.version}"], cwd=work, check=True)
        (archive,) = Path(work).glob("*.tgz")
        with tarfile.open(archive) as tar:
            for inside, ours in package.files.items():
                member = tar.extractfile(f"package/{inside}")
                if member is None:
                    raise FileNotFoundError(f"{package.name} {package.version} has no {inside}")
                target = package.folder / ours
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(member.read())


def write_manifest(folder: Path) -> None:
    entries = [
        {
            "name": package.name,
            "version": package.version,
            "licence": package.licence,
            "files": {ours: sha256(folder / ours) for ours in sorted(package.files.values())},
        }
        for package in PACKAGES
        if package.folder == folder
    ]
    (folder / "manifest.json").write_text(json.dumps(entries, indent=2) + "\n")


def differences(folder: Path) -> Iterator[str]:
    """Yield one line per file that is missing, changed or not in the manifest."""
    listed: dict[str, str] = {}
    for entry in json.loads((folder / "manifest.json").read_text()):
        listed.update(entry["files"])
    present = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    yield from (f"{folder.name}/{name} is not in the manifest" for name in sorted(present - set(listed)))
    for name, expected in sorted(listed.items()):
        if name not in present:
            yield f"{folder.name}/{name} is missing"
        elif sha256(folder / name) != expected:
            yield f"{folder.name}/{name} differs from its sha256 in the manifest"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
