"""Asking whether a broker answers. The page writes the wish down and looks for the answer; a worker asks."""

from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from apps.brokers.errors import TooManyTestsError
from apps.brokers.models import BrokerConnection
from apps.brokers.selectors import connection_facts
from apps.brokers.services import connection_test_request
from apps.common.audit import user_actor
from apps.tenants.roles import Action, can
from apps.web.access import MemberRequest, member
from apps.web.selectors.frame import frame
from apps.web.selectors.setup import test_view
from apps.web.views.pages import is_fragment, page


@require_http_methods(["GET", "HEAD", "POST"])
@member()
def connection_test(request: MemberRequest, connection_id: UUID) -> HttpResponse:
    """Show how the last test of a connection went; a press asks for another one."""
    try:
        connection_facts(connection_id)
    except BrokerConnection.DoesNotExist as error:
        raise Http404 from error
    around = frame()
    problem = ""
    if request.method == "POST":
        if not can(request.membership, Action.CONNECT):
            raise PermissionDenied
        try:
            connection_test_request(connection_id=connection_id, actor=user_actor(request.user.pk))
        except TooManyTestsError as error:
            problem = error.message
        if not problem and not is_fragment(request):
            return redirect("web:connection_test", connection_id=connection_id)
    context = {
        "view": test_view(connection_id),
        "problem": problem,
        "may_test": can(request.membership, Action.CONNECT),
        "in_form": "form" in request.GET,
    }
    if is_fragment(request):
        return render(request, "fragments/connection_test.html", context)
    return page(request, "pages/connection_test.html", section="home", frame=around, context=context)
