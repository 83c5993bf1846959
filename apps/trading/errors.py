"""What can go wrong in trading, and what the caller should do about it."""

from apps.common.errors import DomainError


class OrderMovedError(DomainError):
    """Somebody else claimed the order in between. Keep the evidence, change nothing, read again."""

    code = "order_moved"


class PermitDeniedError(DomainError):
    """The order may not leave now. `code` is the reason that the order's history shows."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        is_final: bool,
        data: dict[str, object] | None = None,
        retry_seconds: float = 1.0,
    ) -> None:
        super().__init__(message, data=data)
        self.code = code
        self.is_final = is_final
        self.retry_seconds = retry_seconds


class StopRefusedError(DomainError):
    """The run level cannot be set like this."""

    code = "stop_refused"


class SecondPersonNeededError(StopRefusedError):
    """One person may not do this alone. Propose it; another member of the staff approves."""

    code = "second_person_needed"


class ParkedRefusedError(DomainError):
    """A parked order may not be ended like this."""

    code = "parked_refused"


class PositionRefusedError(DomainError):
    """A lot cannot be closed or changed now. `code` is the reason that the sheet puts into words."""

    def __init__(self, code: str, message: str, *, data: dict[str, object] | None = None) -> None:
        super().__init__(message, data=data)
        self.code = code


class BooksMovedError(DomainError):
    """The shares are not those that the person saw. Show the sheet again."""

    code = "books_moved"


class ImportFileError(DomainError):
    """An uploaded file is no list of shares as a whole. Show the message; nothing of it was kept."""

    code = "import_file"

    def __init__(self, found: str, *, expected: str) -> None:
        super().__init__(f"{found[0].upper()}{found[1:]}. Expected {expected}.")


class ImportRefusedError(DomainError):
    """A kept report cannot be saved any more. Ask for the file again."""

    code = "import_refused"


class InstrumentRefusedError(DomainError):
    """A share cannot be added, changed, moved or removed like this. Nothing was changed."""

    code = "instrument_refused"


class ParametersRefusedError(DomainError):
    """A bot's parameters cannot be changed like this. Nothing was changed."""

    code = "parameters_refused"
