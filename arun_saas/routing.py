"""Addresses of the live sockets."""

from django.urls import URLPattern, URLResolver

from apps.web import live_urls

websocket_urlpatterns: list[URLPattern | URLResolver] = live_urls.urlpatterns
