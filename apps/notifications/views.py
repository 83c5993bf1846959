"""The mailbox page of a machine without a mail server. It shows everybody's mail, so production never has it."""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.notifications import mailbox


def _require_page() -> None:
    if not settings.ARUN_MAILBOX_PAGE:
        raise Http404


@require_safe
def mail_list(request: HttpRequest) -> HttpResponse:
    _require_page()
    return render(request, "mailbox/list.html", {"mails": mailbox.mails()})


@require_safe
def mail_detail(request: HttpRequest, name: str) -> HttpResponse:
    _require_page()
    mail = mailbox.mail(name)
    if mail is None:
        raise Http404
    return render(request, "mailbox/detail.html", {"mail": mail})
