#!/usr/bin/env python3
"""Run one of ARUN's management commands."""

import os
import sys


def main() -> None:
    if sys.argv[1:] == ["up"]:
        # It makes the secrets and addresses that the settings ask for, so it runs before Django.
        from arun_saas.embedded.run import main as up

        sys.exit(up())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arun_saas.settings.development")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
