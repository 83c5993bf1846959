"""A mailbox in a folder, for a machine that has no mail server: one .eml file for each mail."""

import os
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.utils import parsedate_to_datetime
from pathlib import Path

from django.conf import settings
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.message import EmailMessage

MOST_KEPT = 200
_NAME = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    """A mail as the mailbox page shows it."""

    name: str
    sent_at: datetime | None
    sender: str
    recipients: str
    subject: str
    body: str


class MailboxBackend(BaseEmailBackend):
    """Writes mails into `settings.ARUN_MAILBOX`, where nobody but this user can read them."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        folder = _folder()
        for message in email_messages:
            name = f"{time.time_ns():016x}{secrets.token_hex(8)}"  # sorts by time, and nobody guesses it
            draft = folder / f".{name}.new"
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(message.message().as_bytes())
            draft.rename(folder / f"{name}.eml")
        for old in _files()[MOST_KEPT:]:
            old.unlink(missing_ok=True)
        return len(email_messages)


def mails() -> list[Mail]:
    """Return the mails in the folder, newest first."""
    return [_read(path) for path in _files()]


def mail(name: str) -> Mail | None:
    """Return the mail of this name, or None."""
    path = Path(settings.ARUN_MAILBOX) / f"{name}.eml"
    if not _NAME.fullmatch(name) or not path.is_file():
        return None
    return _read(path)


def _folder() -> Path:
    folder = Path(settings.ARUN_MAILBOX)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _files() -> list[Path]:
    return sorted(Path(settings.ARUN_MAILBOX).glob("*.eml"), reverse=True)


def _read(path: Path) -> Mail:
    parsed = message_from_bytes(path.read_bytes(), policy=policy.default)
    part = parsed.get_body(preferencelist=("plain", "html"))
    date = parsed.get("Date")
    return Mail(
        name=path.stem,
        sent_at=parsedate_to_datetime(str(date)) if date else None,
        sender=str(parsed.get("From", "")),
        recipients=str(parsed.get("To", "")),
        subject=str(parsed.get("Subject", "")),
        body=str(part.get_content()) if part is not None else "",
    )
