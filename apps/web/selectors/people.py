"""Who did it, in words: the actor of an audit row or of a request."""

from collections.abc import Iterable
from uuid import UUID

from apps.tenants.models import Membership

_USER, _STAFF = "user:", "staff:"


def names_of(actors: Iterable[str], *, reader_id: UUID) -> dict[str, str]:
    """Return each actor in words: the reader as "you", members by their address, staff and processes as ARUN's.

    Somebody who is no member any more stays "a former member": the address is theirs again. No query where no other
    person acted.
    """
    wanted = set(actors)
    ids = {actor: actor.removeprefix(_USER) for actor in wanted if actor.startswith(_USER)}
    others = {pk for pk in ids.values() if pk != str(reader_id)}
    found = Membership.objects.filter(user_id__in=others).values_list("user_id", "user__email") if others else ()
    emails = {str(pk): email for pk, email in found}
    return {actor: _name(actor, emails, str(reader_id)) for actor in wanted}


def _name(actor: str, emails: dict[str, str], reader_id: str) -> str:
    if actor.startswith(_USER):
        pk = actor.removeprefix(_USER)
        return "you" if pk == reader_id else emails.get(pk, "a former member")
    return "ARUN's staff" if actor.startswith(_STAFF) else "ARUN"
