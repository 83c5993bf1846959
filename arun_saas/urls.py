"""Addresses of the web process. Each app keeps its own list; this one only says where it hangs."""

from django.urls import URLPattern, URLResolver, include, path

from apps.support.site import site

urlpatterns: list[URLPattern | URLResolver] = [
    path("accounts/", include("allauth.urls")),
    path("staff/", site.urls),
    path("", include("apps.common.urls")),
    path("", include("apps.notifications.urls")),
    path("", include("apps.web.urls")),
]
