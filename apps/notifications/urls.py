"""Addresses of the local mailbox."""

from django.urls import path

from apps.notifications import views

urlpatterns = [
    path("mailbox/", views.mail_list, name="mailbox"),
    path("mailbox/<str:name>/", views.mail_detail, name="mailbox_mail"),
]
