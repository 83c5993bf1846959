"""Ends a log-in that has lasted long enough, before anything else looks at who asks."""

from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponseBase

from apps.accounts.sessions import session_is_over, session_note

# What an open page asks for without anybody touching it.
_BY_ITSELF = ("/home/part/", "/live/", "/stops/", "/connections/")


class SessionLimitMiddleware:
    """Log out whose session is over; they go on as a stranger, whom every page asks to log in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated:
            user = request.user
            if session_is_over(request.session, user):
                logout(request)
            else:
                session_note(request.session, user, is_person=not request.path.startswith(_BY_ITSELF))
        return self.get_response(request)
