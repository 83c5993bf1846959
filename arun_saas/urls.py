"""Addresses of the web process. Each app keeps its own list; this one only says where it hangs."""

from importlib.util import find_spec

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("accounts/", include("allauth.urls")),
]

_PARTS = (
    ("", "apps.common.urls"),
    ("", "apps.notifications.urls"),
    ("staff/", "apps.support.urls"),
    ("", "apps.web.urls"),
)
for _prefix, _module in _PARTS:
    if find_spec(_module) is not None:
        urlpatterns.append(path(_prefix, include(_module)))
