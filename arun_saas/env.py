"""Reads settings from the environment; a secret may also come from a file named by `<NAME>_FILE`."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str | None = None) -> str:
    """Return the variable's value, the content of the file `<NAME>_FILE` names, or `default`.

    Raises ImproperlyConfigured, naming the variable, when nothing of the three exists.
    """
    if value := os.environ.get(name):
        return value
    if path := os.environ.get(f"{name}_FILE"):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE names {path}, which cannot be read: {error.strerror}") from error
    if default is None:
        raise ImproperlyConfigured(f"{name} is not set. Set it, or let {name}_FILE name a file that holds it.")
    return default


def integer(name: str, default: int, *, at_least: int | None = None) -> int:
    """Return the variable as an integer."""
    raw = text(name, str(default))
    try:
        value = int(raw)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a whole number, got {raw!r}.") from error
    if at_least is not None and value < at_least:
        raise ImproperlyConfigured(f"{name} must be at least {at_least}, got {value}.")
    return value


def flag(name: str, *, default: bool) -> bool:
    """Return the variable as yes or no."""
    raw = text(name, "1" if default else "0").lower()
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be yes or no, got {raw!r}.")


def words(name: str, default: str = "") -> list[str]:
    """Return the comma-separated words of the variable."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def database(name: str, default: str | None = None) -> dict[str, object]:
    """Return Django's settings of the PostgreSQL database that the URL in `name` points at."""
    url = text(name, default)
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"} or not parts.path.strip("/"):
        raise ImproperlyConfigured(f"{name} must look like postgresql://user:password@host:port/database.")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or 5432),
    }
