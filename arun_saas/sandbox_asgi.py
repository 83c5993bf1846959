"""The sandbox process: the simulated market and the paper venue, with a database and a log of their own."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arun_saas.settings.development")
os.environ.setdefault("ARUN_PROCESS", "sandbox")

import django

django.setup()

from django.conf import settings

from apps.sandbox.server import VenueServer

application = VenueServer(settings.ARUN_DATA / "sandbox" / "venue.log")
