"""Print what is installed in the environment that runs this."""

import sys
from importlib.metadata import distributions

WANTED = ("django", "django-cryptography", "django-cryptography-5", "cryptography")

found = {(item.metadata["Name"] or "").lower(): item.version for item in distributions()}
sys.stdout.write(", ".join(f"{name} {found[name]}" for name in WANTED if name in found) + "\n")
