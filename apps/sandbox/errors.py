"""The venue's ways of saying no."""

from apps.common.errors import DomainError

STATUS_BAD_REQUEST = 400
STATUS_UNAUTHORIZED = 401
STATUS_FORBIDDEN = 403
STATUS_NOT_FOUND = 404


class RefusalError(DomainError):
    """The venue looked at a request and said no. Nothing was changed. `code` and `text` go to the sender."""

    def __init__(self, code: str, text: str, *, status: int = STATUS_BAD_REQUEST) -> None:
        super().__init__(text, data={"code": code})
        self.code = code
        self.text = text
        self.status = status


def bad_field(field: str, expected: str, got: object) -> RefusalError:
    """Return the refusal of a request whose field does not fit."""
    return RefusalError("bad_request", f"{field}: expected {expected}, got {got!r}"[:200])
