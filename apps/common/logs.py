"""One structured log for every process: a line per event on stderr, with the ids at hand and without secrets.

Write `log = logs.get(__name__)` and `log.info("order_sent", intent_id=...)`: the event is a fixed name, what varies
goes into fields. `with logs.bind(tenant_id=..., bot_id=...):` adds the fields to every line written inside, by the
standard library's loggers too.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any

import structlog
from django.conf import settings
from structlog.typing import EventDict, Processor

MASK = "[masked]"
_SECRET_NAME = re.compile(
    r"passw|passphrase|secret|token|authori[sz]ation|cookie|credential|totp|otp_code|api_?key|private_?key|session_?(id|key)"
    r"|recovery|csrf|signature",
    re.IGNORECASE,
)
_SECRET_SHAPES = (
    # name=value and "name": "value" inside a longer text
    re.compile(
        r"(?P<keep>[\"']?[\w-]*(?:passw\w*|secret|token|authori[sz]ation|cookie|totp|api_?key)[\"']?\s*[=:]\s*[\"']?)"
        r"(?!\[masked\])(?:(?:bearer|token|basic)\s+)?[^\s\"'&,;}]+",
        re.IGNORECASE,
    ),
    re.compile(r"(?P<keep>\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}", re.IGNORECASE),
    re.compile(r"(?P<keep>\w://[^\s:/@]*:)[^\s/@]+(?=@)"),  # the password inside an address
    re.compile(r"(?P<keep>)\beyJ[\w-]{8,}\.[\w-]{4,}\.?[\w-]*"),  # JSON web token
    re.compile(r"(?P<keep>\b(?:whsec|sk_live|sk_test|rk_live|rk_test)_)\w{8,}"),
    # A long random word: capitals, small letters and digits. Ids, hashes and order tags have one case only.
    re.compile(r"(?P<keep>)(?<![\w/.-])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*\d)[A-Za-z0-9_-]{28,}(?![\w/.-])"),
)


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def bind(**fields: object) -> AbstractContextManager[None]:
    """Add the fields to every line written inside the `with` block."""
    shown = {name: str(value) if value is not None else None for name, value in fields.items()}
    return structlog.contextvars.bound_contextvars(**shown)


def masked_text(text: str) -> str:
    """Return the text with everything that looks like a secret masked."""
    for shape in _SECRET_SHAPES:
        text = shape.sub(lambda found: f"{found.group('keep')}{MASK}", text)
    return text


def masked(value: object, *, name: str = "") -> object:
    """Return the value with secrets masked, by the name they stand under and by their shape."""
    if name and _SECRET_NAME.search(name) and value is not None and not isinstance(value, bool | int):
        return MASK
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, Mapping):
        return {key: masked(inner, name=str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return masked_text(str(value))


def _mask_secrets(_logger: object, _method: str, event: EventDict) -> EventDict:
    return {name: masked(value, name="" if name == "event" else name) for name, value in event.items()}


def _add_process(_logger: object, _method: str, event: EventDict) -> EventDict:
    event.setdefault("process", settings.ARUN_PROCESS)
    return event


def _drop_internal(_logger: object, _method: str, event: EventDict) -> EventDict:
    event.pop("_record", None)
    event.pop("_from_structlog", None)
    return event


_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    _add_process,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
_LAST: tuple[Processor, ...] = (
    _drop_internal,
    structlog.processors.format_exc_info,
    _mask_secrets,  # after the traceback has become text, so that it is searched as well
)
_LEVELS: Mapping[str, int] = {
    "django.request": logging.ERROR,  # 4xx answers stand in the request log already
    "django.security.DisallowedHost": logging.CRITICAL,
    "celery.app.trace": logging.WARNING,  # its success line prints what the task returned
    "celery.worker.strategy": logging.WARNING,
    "celery.beat": logging.WARNING,
    "daphne": logging.WARNING,
    "urllib3": logging.WARNING,
    "asyncio": logging.WARNING,
}
_TAKEN_OVER = (
    "uvicorn",
    "uvicorn.error",
    "uvicorn.asgi",
    "celery",
    "celery.task",
    "celery.redirected",
    "django",
    "django.server",
)


def _renderer() -> Processor:
    if settings.ARUN_LOG_FORMAT == "json":
        return structlog.processors.JSONRenderer(sort_keys=True, default=str)
    order = ["timestamp", "level", "process", "event"]
    return structlog.processors.LogfmtRenderer(key_order=order, drop_missing=True, bool_as_flag=False)


def _one_line_keys(_logger: object, _method: str, event: MutableMapping[str, Any]) -> EventDict:
    """Give logfmt keys that it accepts; a caller's odd key must not cost the line."""
    return {re.sub(r"[\s=\"]", "_", str(name)): value for name, value in event.items()}


def _has_traceback(record: logging.LogRecord) -> bool:
    """Keep Django's line about an exception; about an answer of 500 and above the request log has one already."""
    return record.exc_info is not None


class StderrHandler(logging.Handler):
    """Writes to whatever stderr is at that moment: a supervisor, or a test, may put another in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(f"{self.format(record)}\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            self.handleError(record)


def configure() -> None:
    """Send structlog and the standard library's loggers to stderr in one format. Safe to repeat."""
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_SHARED, structlog.stdlib.ExtraAdder()],
        processors=[*_LAST, _one_line_keys, _renderer()],
    )
    handler = StderrHandler()
    handler.setFormatter(formatter)
    handler.set_name("arun")
    root = logging.getLogger()
    root.handlers = [kept for kept in root.handlers if kept.get_name() != "arun" and _is_foreign(kept)] + [handler]
    root.setLevel(settings.ARUN_LOG_LEVEL)
    for name in _TAKEN_OVER:
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    access = logging.getLogger("uvicorn.access")  # it prints query strings; RequestLogMiddleware does not
    access.handlers = []
    access.propagate = False
    logging.getLogger("django.request").filters = [_has_traceback]
    for name, level in _LEVELS.items():
        logging.getLogger(name).setLevel(level)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _is_foreign(handler: logging.Handler) -> bool:
    """Keep handlers of a test runner; drop plain ones to a terminal, which would print every line twice."""
    return type(handler) is not logging.StreamHandler
