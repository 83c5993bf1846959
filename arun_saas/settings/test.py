"""The test suite: its own servers (tests/kit), fast password hashing, mail kept in memory."""

import os
import tempfile
from typing import cast

_PLACEHOLDERS = {
    # A test session takes addresses of its own (tests/kit/addresses.py); tools that
    # only import the settings need some value.
    "ARUN_SECRET_KEY": "test-only-secret-key-that-signs-nothing-of-value",
    "ARUN_TAG_KEY": "test-only-tag-key-that-signs-nothing-of-value",
    "SANDBOX_KEY": "test-only-sandbox-key-that-signs-nothing-of-value",
    "ARUN_DATA": tempfile.gettempdir() + "/arun-test-data",
    "DATABASE_URL": "postgresql://arun_app@127.0.0.1:1/arun",
    "DATABASE_OWNER_URL": "postgresql://arun_owner@127.0.0.1:1/arun",
    "DATABASE_DISPATCH_URL": "postgresql://arun_dispatch@127.0.0.1:1/arun",
    "DATABASE_RELAY_URL": "postgresql://arun_relay@127.0.0.1:1/arun",
    "DATABASE_SUPPORT_URL": "postgresql://arun_support@127.0.0.1:1/arun",
    "SANDBOX_DATABASE_URL": "postgresql://arun_sandbox@127.0.0.1:1/arun_sandbox",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}
for _name, _value in _PLACEHOLDERS.items():
    os.environ.setdefault(_name, _value)

if "PYTEST_VERSION" in os.environ:
    from tests.kit.addresses import choose_addresses

    choose_addresses()

from arun_saas.settings.base import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
ARUN_MAILBOX_PAGE = True
ARUN_METRICS_OPEN = True
ALLOWED_HOSTS = ["*"]

# A test may compute for longer than any request while its own transaction is open.
for _database in cast("list[dict[str, dict[str, str]]]", list(DATABASES.values())):  # noqa: F405
    _database["OPTIONS"]["options"] += " -c idle_in_transaction_session_timeout=0"
