"""Check that what the documents name exists: links, files and tests.

python scripts/checks/doc_references.py

In README.md, CHANGELOG.md and docs/: the target of every relative link and its heading, every path in backticks that
starts with a folder or file of this project, and every test in backticks of the form `tests/file.py::test_name`.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("apps", "arun_saas", "docs", "deploy", "requirements", "scripts", "static", "templates", "tests")

_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(rf"(?:{'|'.join(FOLDERS)})/[\w./*-]*")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def documents() -> list[Path]:
    """Return the documents that are held to this."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def faults(document: Path) -> Iterator[str]:
    """Yield each thing the document names that is not there."""
    text = document.read_text(encoding="utf-8")
    for target, heading in _LINK.findall(text):
        file = (document.parent / target).resolve() if target else document
        if not file.exists():
            yield f"link to {target}"
        elif heading and heading not in _anchors(file):
            yield f"heading #{heading} of {target or 'this document'}"
    for code in _CODE.findall(text):
        yield from _code_faults(code)


def _code_faults(code: str) -> Iterator[str]:
    path, _, test = code.partition("::")
    if _PATH.fullmatch(path) is None:
        return
    found = list(ROOT.glob(path.rstrip("/")))
    if not found:
        yield f"path {path}"
    elif test and not any(f"def {test}(" in file.read_text(encoding="utf-8") for file in found if file.is_file()):
        yield f"test {code}"


def _anchors(file: Path) -> set[str]:
    """Return the anchors that a web page of the document has, one for each heading."""
    headings = _HEADING.findall(file.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def main() -> int:
    bad = [f"{document.relative_to(ROOT)}: {fault}" for document in documents() for fault in faults(document)]
    for line in bad:
        sys.stderr.write(f"{line}\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
