"""Which request of an account goes wrong, and how. Draws depend on the fault's seed and count alone, so they repeat."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction

from apps.sandbox.accounts import SANDBOX
from apps.sandbox.choices import FaultKind, FaultScope
from apps.sandbox.errors import bad_field
from apps.sandbox.models import Account, Fault

MAX_FAULTS = 20
_PLAIN_FIELDS = frozenset({"kind", "scope", "next", "probability", "seed", "seconds", "status", "accept", "text"})
_HTTP_ERRORS = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A fault that struck this request."""

    kind: FaultKind
    seconds: float
    status: int
    accept: bool
    text: str


def fault_draw(*, account: Account, scope: FaultScope | None) -> Hit | None:
    """Return the first fault that strikes the account's request of this kind, and count it."""
    scopes = [FaultScope.BOTH] if scope is None else [FaultScope.BOTH, scope]
    if not Fault.objects.filter(account=account, scope__in=scopes).exists():
        return None
    with transaction.atomic(using=SANDBOX):
        for fault in Fault.objects.select_for_update().filter(account=account, scope__in=scopes).order_by("pk"):
            if _strikes(fault):
                return Hit(
                    kind=FaultKind(fault.kind),
                    seconds=fault.seconds,
                    status=fault.status,
                    accept=fault.accept,
                    text=fault.text,
                )
    return None


def faults_replace(*, account: Account, faults: Sequence[object]) -> list[Fault]:
    """Put these faults in the place of the account's present ones. Raises RefusalError for a malformed one."""
    if len(faults) > MAX_FAULTS:
        raise bad_field("faults", f"at most {MAX_FAULTS}", len(faults))
    made = [_parse(account, item) for item in faults]
    with transaction.atomic(using=SANDBOX):
        Fault.objects.filter(account=account).delete()
        for fault in made:
            fault.save(force_insert=True)
    return made


def fault_row(fault: Fault) -> dict[str, object]:
    """Return the fault as the admin sees it."""
    return {
        "kind": fault.kind,
        "scope": fault.scope,
        "next": fault.remaining,
        "probability": fault.probability,
        "seed": fault.seed,
        "drawn": fault.drawn,
        "seconds": fault.seconds,
        "status": fault.status,
        "accept": fault.accept,
        "text": fault.text,
    }


def _strikes(fault: Fault) -> bool:
    fault.drawn += 1
    if fault.remaining is None:
        strikes = _chance(fault.seed, fault.drawn) < (fault.probability or 0.0)
    else:
        strikes = fault.remaining > 0
        fault.remaining -= int(strikes)
    fault.save(update_fields=["drawn", "remaining"])
    return strikes


def _chance(seed: int, draw: int) -> float:
    """Return a number in [0, 1) that the two integers determine."""
    digest = hashlib.sha256(f"{seed}:{draw}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _parse(account: Account, item: object) -> Fault:
    if not isinstance(item, Mapping) or set(item) - _PLAIN_FIELDS:
        raise bad_field("fault", f"an object of {', '.join(sorted(_PLAIN_FIELDS))}", item)
    kind, scope = item.get("kind"), item.get("scope", FaultScope.WRITE.value)
    if kind not in FaultKind.values:
        raise bad_field("kind", " or ".join(FaultKind.values), kind)
    if scope not in FaultScope.values:
        raise bad_field("scope", " or ".join(FaultScope.values), scope)
    following, probability = item.get("next"), item.get("probability")
    if (following is None) == (probability is None):
        raise bad_field("fault", "either next or probability", dict(item))
    return Fault(
        account=account,
        kind=kind,
        scope=scope,
        remaining=None if following is None else int(_number(item, "next", 1_000_000)),
        probability=None if probability is None else _number(item, "probability", 1),
        seed=int(_number(item, "seed", 2**53)),
        seconds=_number(item, "seconds", 3_600),
        status=_http_status(item),
        accept=item.get("accept") is True,
        text=str(item.get("text", ""))[:200],
    )


def _http_status(item: Mapping[str, object]) -> int:
    status = item.get("status", 502)
    if not isinstance(status, int) or status not in _HTTP_ERRORS:
        raise bad_field("status", " or ".join(map(str, sorted(_HTTP_ERRORS))), status)
    return status


def _number(item: Mapping[str, object], field: str, most: float) -> float:
    value = item.get(field, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise bad_field(field, f"0 to {most}", value)
    return float(value)
