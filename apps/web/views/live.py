"""What a page asks for after it missed events of its stream."""

from django.http import HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from apps.common import outbox
from apps.web.access import MemberRequest, member

LARGEST_SEQ = 2**62


@require_safe
@member()
def since(request: MemberRequest) -> HttpResponse:
    """Return the events after `seq`. `complete` is false when some are too old: then read everything again."""
    text = request.GET.get("seq", "")
    if not text.isascii() or not text.isdigit() or int(text) > LARGEST_SEQ:
        return JsonResponse({"error": "seq: expected a whole number from 0"}, status=400)
    found = outbox.events_since(int(text))
    events = [{"seq": event.seq, "kind": event.kind, "data": dict(event.data)} for event in found.events]
    return JsonResponse({"seq": found.last_seq, "complete": found.is_complete, "events": events})
