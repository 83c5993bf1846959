"""How long a log-in lasts: everybody's for a fixed time, and the staff's not past a time without a click."""

from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from apps.accounts.models import User
from apps.common import clock

BEGAN_KEY = "arun_began_at"
SEEN_KEY = "arun_seen_at"
NOTE_EVERY_SECONDS = 60  # a click a second need not be a write a second


def session_is_over(session: SessionBase, user: User) -> bool:
    """Return whether this log-in has lasted long enough. One that nobody dated began now."""
    now = int(clock.now().timestamp())
    if now - int(session.get(BEGAN_KEY, now)) >= settings.ARUN_SESSION_SECONDS:
        return True
    return user.is_staff and now - int(session.get(SEEN_KEY, now)) >= settings.ARUN_STAFF_IDLE_SECONDS


def session_note(session: SessionBase, user: User, *, is_person: bool) -> None:
    """Date the session, and note that a person did something; what a page asks for by itself does not count."""
    now = int(clock.now().timestamp())
    if BEGAN_KEY not in session:
        session[BEGAN_KEY] = now
    if not user.is_staff:
        return
    if SEEN_KEY not in session or (is_person and now - int(session[SEEN_KEY]) >= NOTE_EVERY_SECONDS):
        session[SEEN_KEY] = now


def _begin(sender: object, request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    if request is not None:
        for key in (BEGAN_KEY, SEEN_KEY):
            request.session.pop(key, None)
        session_note(request.session, user, is_person=True)


def connect() -> None:
    """Date every log-in."""
    user_logged_in.connect(_begin, dispatch_uid="arun_session_began")
