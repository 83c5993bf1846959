"""The web process: Django for HTTP, Channels for the live socket."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arun_saas.settings.development")
os.environ.setdefault("ARUN_PROCESS", "web")

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator

from arun_saas.routing import websocket_urlpatterns

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
