"""Production: HTTPS only, real mail, and no start with a weak or missing secret."""

from django.core.exceptions import ImproperlyConfigured

from arun_saas import env
from arun_saas.settings.base import *  # noqa: F403
from arun_saas.settings.base import ARUN_TAG_KEY, SANDBOX_KEY, SECRET_KEY

_SHORTEST_SECRET = 40

for _name, _value in {"ARUN_SECRET_KEY": SECRET_KEY, "ARUN_TAG_KEY": ARUN_TAG_KEY, "SANDBOX_KEY": SANDBOX_KEY}.items():
    if len(_value) < _SHORTEST_SECRET:
        raise ImproperlyConfigured(f"{_name} must have at least {_SHORTEST_SECRET} characters, got {len(_value)}.")

SECURE_SSL_REDIRECT = True
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 63072000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_REDIRECT_EXEMPT = [r"^health/"]
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_NAME = "__Host-session"
CSRF_COOKIE_SECURE = True
CSRF_COOKIE_NAME = "__Host-csrf"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = False

EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST = env.text("ARUN_MAIL_HOST")
EMAIL_PORT = env.integer("ARUN_MAIL_PORT", 587)
EMAIL_HOST_USER = env.text("ARUN_MAIL_USER", "")
EMAIL_HOST_PASSWORD = env.text("ARUN_MAIL_PASSWORD", "")
EMAIL_USE_TLS = True
EMAIL_TIMEOUT = 10
