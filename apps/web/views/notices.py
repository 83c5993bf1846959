"""The notification centre."""

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from apps.notifications.selectors import notifications_newest
from apps.notifications.services import notification_mark_read
from apps.web.access import MemberRequest, member
from apps.web.selectors.frame import frame
from apps.web.views.pages import is_fragment, page


@require_safe
@member()
def notice_list(request: MemberRequest) -> HttpResponse:
    """What ARUN told this account, newest first."""
    around = frame()
    context = {"notices": notifications_newest()}
    if is_fragment(request):
        return render(request, "fragments/notice_list.html", context)
    return page(request, "pages/notifications.html", section="notifications", frame=around, context=context)


@require_POST
@member()
def notice_mark_read(request: MemberRequest) -> HttpResponse:
    """Mark everything as read, for everybody in the account."""
    notification_mark_read()
    return redirect("web:notifications")
