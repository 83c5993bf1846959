"""Settings that every environment shares. The other modules of this package only differ from it."""

import os
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from arun_saas import env

BASE_DIR = Path(__file__).resolve().parent.parent.parent
ARUN_DATA = Path(env.text("ARUN_DATA", str(BASE_DIR / ".arun"))).resolve()

SECRET_KEY = env.text("ARUN_SECRET_KEY")
DEBUG = False
ALLOWED_HOSTS = env.words("ARUN_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("ARUN_TRUSTED_ORIGINS")
PORT = env.integer("PORT", 8000)
PUBLIC_URL = env.text("ARUN_PUBLIC_URL", f"http://localhost:{PORT}")

INSTALLED_APPS = [
    "unfold",
    "arun_saas.apps.ArunConfig",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "rest_framework",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "django_htmx",
    "apps.common",
    "apps.accounts",
    "apps.tenants",
    "apps.subscriptions",
    "apps.brokers",
    "apps.market",
    "apps.trading",
    "apps.notifications",
    "apps.onboarding",
    "apps.web",
    "apps.support",
    "apps.sandbox",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "apps.common.middleware.CompressionMiddleware",
    "apps.common.middleware.RequestLogMiddleware",
    "apps.common.middleware.ContentSecurityPolicyMiddleware",
    "apps.common.middleware.NoStoreMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
    "apps.accounts.middleware.SessionLimitMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "apps.tenants.middleware.TenantMiddleware",
]

ROOT_URLCONF = "arun_saas.urls"
WSGI_APPLICATION = None
ASGI_APPLICATION = "arun_saas.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- PostgreSQL -------------------------------------------------------------------------------------------------------
# One physical database under several roles: each alias is one role (docs/architecture.md, "Tenancy").
# `sandbox` is a database of its own, because the venue must not share the platform's fate.
_APP_URL_NAME = "DATABASE_OWNER_URL" if env.text("ARUN_DB_ROLE", "app") == "owner" else "DATABASE_URL"
_SESSION_OPTIONS = "-c timezone=UTC"


# The web process serves each request on a thread of its own, so its connections are kept in a pool; every other process
# has a few threads that live as long as it does, each with one connection.
_IS_WEB = env.text("ARUN_PROCESS", "arun") == "web"
_POOL: dict[str, object] = {"pool": {"min_size": 1, "max_size": 16, "timeout": 5.0}} if _IS_WEB else {}


def _role(name: str, **options: object) -> dict[str, object]:
    return {
        **env.database(name),
        "CONN_MAX_AGE": 0 if _IS_WEB else None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 5,
            "keepalives": 1,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "application_name": os.environ.get("ARUN_PROCESS", "arun"),
            "options": _SESSION_OPTIONS,
            **_POOL,
            **options,
        },
        "TEST": {"MIGRATE": False},
    }


DATABASES = {
    "default": _role(_APP_URL_NAME),
    "dispatch": _role("DATABASE_DISPATCH_URL"),
    "relay": _role("DATABASE_RELAY_URL"),
    "support": _role("DATABASE_SUPPORT_URL"),
    "sandbox": _role("SANDBOX_DATABASE_URL"),
}
if os.environ.get("ARUN_PROCESS") == "web":
    # Django's ASGI handler runs each request in a thread of its own, and a connection belongs to its thread: without a
    # pool every request would log in to PostgreSQL anew. The other roles serve probes and staff, who can wait for that.
    for _role_settings in DATABASES.values():
        _role_settings["CONN_MAX_AGE"] = 0
    DATABASES["default"]["OPTIONS"] |= {"pool": {"min_size": 1, "max_size": 16, "timeout": 5}}  # type: ignore[operator]
DATABASE_ROUTERS = ["arun_saas.databases.AliasRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis or Valkey --------------------------------------------------------------------------------------------------
REDIS_URL = env.text("REDIS_URL")


def _redis_database(name: str, index: int) -> str:
    return env.text(name, urlsplit(REDIS_URL)._replace(path=f"/{index}").geturl())


REDIS_CACHE_URL = _redis_database("REDIS_CACHE_URL", 1)
REDIS_CHANNELS_URL = _redis_database("REDIS_CHANNELS_URL", 2)
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_CACHE_URL,
        "KEY_PREFIX": "arun",
        "TIMEOUT": 300,
        "OPTIONS": {"socket_timeout": 2, "socket_connect_timeout": 2},
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [REDIS_CHANNELS_URL], "prefix": "arun-live", "expiry": 30, "capacity": 500},
    }
}

# --- Celery: an alarm clock; the work list is in PostgreSQL -----------------------------------------------------------
CELERY_VISIBILITY_TIMEOUT_SECONDS = 300  # at least three times the hard time limit, or a running task starts twice

# --- People -----------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/home/"
ACCOUNT_ADAPTER = "apps.accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = False
ACCOUNT_CONFIRM_EMAIL_ON_GET = False
ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION = False
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ALLAUTH_TRUSTED_PROXY_COUNT = env.integer("ARUN_TRUSTED_PROXY_COUNT", 0)
ACCOUNT_EMAIL_NOTIFICATIONS = True
MFA_TOTP_TOLERANCE = 0
MFA_TOTP_ISSUER = "ARUN"
MFA_ADAPTER = "apps.accounts.adapter.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_FORMS = {
    "authenticate": "apps.accounts.forms.AuthenticateForm",
    "reauthenticate": "apps.accounts.forms.ReauthenticateForm",
    "activate_totp": "apps.accounts.forms.ActivateTOTPForm",
    "add_webauthn": "apps.accounts.forms.AddPasskeyForm",
}
USERSESSIONS_TRACK_ACTIVITY = False

SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_AGE = int(timedelta(hours=12).total_seconds())
ARUN_SESSION_SECONDS = SESSION_COOKIE_AGE  # after a log-in, whatever happens in between
ARUN_STAFF_IDLE_SECONDS = int(timedelta(minutes=30).total_seconds())
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

EMAIL_BACKEND = "apps.notifications.mailbox.MailboxBackend"
DEFAULT_FROM_EMAIL = env.text("ARUN_MAIL_FROM", "ARUN <no-reply@arun.localhost>")
ARUN_MAILBOX = ARUN_DATA / "mailbox"
ARUN_MAILBOX_PAGE = False

# --- Language, time, files --------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en-us"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
STATIC_ROOT = ARUN_DATA / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# --- ARUN -------------------------------------------------------------------------------------------------------------
ARUN_CLOCK_OFFSET_SECONDS = env.integer("ARUN_CLOCK_OFFSET_SECONDS", 0)
ARUN_TAG_KEY = env.text("ARUN_TAG_KEY")
ARUN_PROCESS = env.text("ARUN_PROCESS", "arun")
ARUN_LOG_FORMAT = env.text("ARUN_LOG_FORMAT", "text")  # text (logfmt) or json
ARUN_LOG_LEVEL = env.text("ARUN_LOG_LEVEL", "INFO")
ARUN_METRICS_TOKEN = env.text("ARUN_METRICS_TOKEN", "")  # who shows it as a bearer token may read /metrics
ARUN_METRICS_OPEN = False
ARUN_DEMO_EMAIL = env.text("ARUN_DEMO_EMAIL", "")  # empty: no demo tenant
ARUN_DEMO_PASSWORD = env.text("ARUN_DEMO_PASSWORD", "")
ARUN_STAFF_EMAIL = env.text("ARUN_STAFF_EMAIL", "staff@arun.localhost")  # made beside the demo tenant only
SANDBOX_URL = env.text("SANDBOX_URL", "http://127.0.0.1:8100")
SANDBOX_KEY = env.text("SANDBOX_KEY")
SANDBOX_SEED = env.integer("SANDBOX_SEED", 20260101)

# The order path's safety times (docs/architecture.md, "The order path"). Tests run them at a smaller scale.
ARUN_PERMIT_SECONDS = 5.0  # how long a permit may be used
ARUN_PAUSE_SECONDS = 2.0  # A2: the longest pause between the last check and the hand-over
ARUN_LEASE_SECONDS = 30.0  # how long a claim holds
ARUN_ANSWER_DEADLINE_SECONDS = 15.0  # the longest that any broker's answer to a write is awaited
ARUN_STOP_ESCALATION_SECONDS = 30.0
ARUN_DRAIN_LOCK_TIMEOUT_MS = 250
ARUN_GATEWAY_SLOTS = env.integer("ARUN_GATEWAY_SLOTS", 16, at_least=4)  # of one gateway; half of them for one broker

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}

UNFOLD = {
    "SITE_TITLE": "ARUN staff",
    "SITE_HEADER": "ARUN staff",
    "SHOW_HISTORY": False,
    "SIDEBAR": {"navigation": "apps.support.site.navigation"},
}

LOGGING_CONFIG = None
