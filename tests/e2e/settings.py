"""The suite's settings for the servers that a browser test starts: mail goes where its mailbox page can show it."""

from arun_saas.settings.test import *  # noqa: F403

EMAIL_BACKEND = "apps.notifications.mailbox.MailboxBackend"
