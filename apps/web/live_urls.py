"""The address of the live socket."""

from django.urls import URLPattern, URLResolver, path

from apps.web.consumers import LiveConsumer

urlpatterns: list[URLPattern | URLResolver] = [path("live/", LiveConsumer.as_asgi())]
