"""The notification centre, and how each member wants to be told."""

from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.notifications import selectors, services
from apps.notifications.models import Notification
from apps.tenants.roles import Action, can
from apps.web.access import MemberRequest, member
from apps.web.notice_forms import NoticeChoicesForm
from apps.web.selectors.frame import bell_of, frame
from apps.web.selectors.notices import notice_row, notices_view
from apps.web.views.pages import is_fragment, page


@require_safe
@member()
def notice_list(request: MemberRequest) -> HttpResponse:
    """What ARUN told this account, newest first, by class."""
    around = frame()
    chosen = request.GET.get("show", "")
    chosen = chosen if chosen in Notification.Severity.values else ""
    is_unread = request.GET.get("unread") == "1"
    found = selectors.notifications_page(severity=chosen, is_unread=is_unread, older_than=_before(request))
    context = {
        "view": notices_view(found, chosen=chosen, is_unread=is_unread, unread=around.unread),
        "may_mark": _may_mark(request),
        "path": request.get_full_path(),
    }
    if is_fragment(request):
        return render(request, "fragments/notice_list.html", context)
    return page(request, "pages/notifications.html", section="notifications", frame=around, context=context)


@require_safe
@member()
def notice_detail(request: MemberRequest, notification_id: UUID) -> HttpResponse:
    """One notification, where its mail leads to."""
    around = frame()
    context = {
        "row": notice_row(_access(notification_id)),
        "may_mark": _may_mark(request),
        "path": request.get_full_path(),
    }
    return page(request, "pages/notification.html", section="notifications", frame=around, context=context)


@require_POST
@member()
def notice_open(request: MemberRequest, notification_id: UUID) -> HttpResponse:
    """Note it as read, and go to what it is about."""
    row = notice_row(_access(notification_id))
    if _may_mark(request):
        services.notification_mark_read(user_id=request.user.pk, notification_ids=[notification_id])
    return redirect(row.target or "web:notifications")


@require_POST
@member()
def notice_mark(request: MemberRequest, notification_id: UUID) -> HttpResponse:
    """Note one as read, or let it stand out again."""
    _require_mark(request)
    _access(notification_id)
    if request.POST.get("read") == "1":
        services.notification_mark_read(user_id=request.user.pk, notification_ids=[notification_id])
    else:
        services.notification_mark_unread(notification_id=notification_id)
    return _back(request)


@require_POST
@member()
def notice_mark_read(request: MemberRequest) -> HttpResponse:
    """Note everything as read, for everybody in the account."""
    _require_mark(request)
    services.notification_mark_read(user_id=request.user.pk)
    return redirect("web:notifications")


@require_safe
@member()
def notice_bell(request: MemberRequest) -> HttpResponse:
    """The number beside the bell, for a page that is told of something new."""
    bell = bell_of(request.membership, selectors.unread_by_severity())
    return render(request, "elements/unread.html", {"bell": bell})


@require_http_methods(["GET", "HEAD", "POST"])
@member()
def notice_choices(request: MemberRequest) -> HttpResponse:
    """Which classes ring and which are mailed, for the person who asks. Danger has no switch."""
    around = frame()
    chosen = selectors.choices_of(request.membership)
    form = NoticeChoicesForm(request.POST if request.method == "POST" else None, initial=chosen.to_json())
    if form.is_valid():
        services.choices_save(membership=request.membership, choices=form.choices())
        messages.success(request, "Saved. It holds from the next notification on.")
        return redirect("web:notification_choices")
    response = page(
        request,
        "pages/notification_choices.html",
        section="notifications",
        frame=around,
        context={"form": form, "email": request.user.email},
    )
    response.status_code = 422 if form.errors else 200
    return response


def _may_mark(request: MemberRequest) -> bool:
    """Return whether this member's reading counts for the account: somebody who cannot act must not hide a danger."""
    return can(request.membership, Action.STOP)


def _require_mark(request: MemberRequest) -> None:
    if not _may_mark(request):
        raise PermissionDenied


def _access(notification_id: UUID) -> Notification:
    try:
        return selectors.access_notification(notification_id)
    except Notification.DoesNotExist as error:
        raise Http404 from error


def _before(request: MemberRequest) -> UUID | None:
    text = request.GET.get("before", "")
    try:
        return UUID(text) if text else None
    except ValueError as error:
        raise Http404 from error


def _back(request: MemberRequest) -> HttpResponse:
    """Return to the list as it was filtered, if the form says so and means this site."""
    path = request.POST.get("back", "")
    is_ours = path.startswith("/notifications/") and url_has_allowed_host_and_scheme(path, allowed_hosts=None)
    return redirect(path if is_ours else "web:notifications")
