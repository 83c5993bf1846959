"""A developer's machine and the embedded run: plain HTTP on loopback, mail in a local mailbox."""

from arun_saas.settings.base import *  # noqa: F403

ARUN_MAILBOX_PAGE = True
ARUN_METRICS_OPEN = True
