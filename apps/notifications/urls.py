"""Addresses of the page behind a stop link, and of the local mailbox."""

from django.urls import path

from apps.notifications import views

urlpatterns = [
    path("stop/<str:token>/", views.stop_link, name="stop_link"),
    path("mailbox/", views.mail_list, name="mailbox"),
    path("mailbox/<str:name>/", views.mail_detail, name="mailbox_mail"),
]
