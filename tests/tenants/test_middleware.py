"""The scope around a request, tried with small views of our own beside the platform's middleware."""

import uuid

import pytest
from django.http import Http404, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import include, path

from apps.common import audit
from apps.common.db import current_tenant_id, tenant_scope
from apps.common.models import AuditEntry
from apps.tenants.middleware import SESSION_KEY
from apps.tenants.models import Membership
from tests.kit.factories.people import make_member, make_people, make_tenant, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


def _who(request):
    return JsonResponse(
        {
            "tenant": str(request.tenant.id) if request.tenant else None,
            "role": request.membership.role if request.membership else None,
            "scope": str(current_tenant_id()) if current_tenant_id() else None,
            "members": Membership.objects.count() if current_tenant_id() else None,
        }
    )


def _write(request, outcome):
    audit.record("written", actor="user:1")
    match outcome:
        case "error":
            raise ZeroDivisionError
        case "missing":
            raise Http404
        case "unwell":
            return HttpResponse(status=503)
        case _:
            return HttpResponse("ok")


def _stream(request):
    return StreamingHttpResponse(f"{row.role}\n" for row in Membership.objects.order_by("role").iterator())


urlpatterns = [
    path("who/", _who),
    path("accounts/who/", _who),
    path("pricing/", _who),
    path("write/<outcome>/", _write),
    path("stream/", _stream),
    path("accounts/", include("allauth.urls")),
]


@pytest.fixture
def people():
    return make_people()


def test_stranger_to_the_platform_has_no_tenant(client):
    assert client.get("/who/").json() == {"tenant": None, "role": None, "scope": None, "members": None}


def test_member_works_inside_the_scope(client, people):
    client.force_login(people.viewer)

    answer = client.get("/who/").json()

    assert answer == {"tenant": str(people.tenant.id), "role": "viewer", "scope": str(people.tenant.id), "members": 3}
    assert current_tenant_id() is None
    assert client.session[SESSION_KEY] == str(people.tenant.id)


def test_session_chooses_among_the_own_tenants(client, people):
    second = make_tenant(people.owner, "Second")
    client.force_login(people.owner)
    session = client.session
    session[SESSION_KEY] = str(second.id)
    session.save()

    assert client.get("/who/").json()["tenant"] == str(second.id)


@pytest.mark.parametrize("stored", ["theirs", "nonsense", "unknown"])
def test_session_that_names_another_tenant_leads_back_to_the_own_one(client, people, stored):
    client.force_login(people.viewer)
    session = client.session
    session[SESSION_KEY] = {"theirs": str(people.other_tenant.id), "nonsense": "x", "unknown": str(uuid.uuid4())}[
        stored
    ]
    session.save()

    assert client.get("/who/").json()["tenant"] == str(people.tenant.id)
    assert client.session[SESSION_KEY] == str(people.tenant.id)


def test_removed_member_is_out_with_the_next_request(client, people):
    client.force_login(people.viewer)
    client.get("/who/")
    with tenant_scope(people.tenant.id):
        Membership.objects.filter(user=people.viewer).delete()

    response = client.get("/who/")

    assert (response.status_code, response["Location"]) == (302, "/start/")


def test_person_without_a_tenant_is_sent_to_the_start(client):
    client.force_login(make_user())

    response = client.get("/who/")

    assert (response.status_code, response["Location"]) == (302, "/start/")


def test_fragment_for_a_person_without_a_tenant_leads_the_whole_page_to_the_start(client):
    client.force_login(make_user())

    response = client.get("/who/", headers={"HX-Request": "true"})

    assert (response.status_code, response["HX-Redirect"]) == (204, "/start/")


def test_public_page_is_open_to_a_person_without_a_tenant(client):
    client.force_login(make_user())

    assert client.get("/pricing/").json()["tenant"] is None


def test_account_pages_have_no_scope(client, people):
    client.force_login(people.owner)

    assert client.get("/accounts/who/").json()["scope"] is None


@pytest.mark.parametrize(("outcome", "kept"), [("ok", 1), ("missing", 0), ("unwell", 0), ("error", 0)])
def test_request_that_fails_leaves_nothing_behind(client, people, outcome, kept):
    client.raise_request_exception = False
    client.force_login(people.owner)

    client.get(f"/write/{outcome}/")

    with tenant_scope(people.tenant.id):
        assert AuditEntry.objects.filter(action="written").count() == kept


def test_streamed_body_is_read_in_the_tenants_scope(client, people):
    client.force_login(people.owner)

    body = b"".join(client.get("/stream/").streaming_content)

    assert body == b"manager\nowner\nviewer\n"
    assert current_tenant_id() is None


def test_two_tenants_in_turn_see_their_own(client, people):
    make_member(people.other_tenant)
    seen = []
    for person in (people.owner, people.stranger, people.owner):
        client.force_login(person)
        seen.append(client.get("/who/").json()["members"])

    assert seen == [3, 2, 3]
