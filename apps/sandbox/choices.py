"""The closed sets of the paper venue."""

from django.db import models


class AccountVenue(models.TextChoices):
    """Which market an account trades on; it decides settlement and when an order of the day ends."""

    SIM = "SIM", "Simulated market, settles at once"
    NSE = "NSE", "Real market on paper, settles the next trading day"


class OrderStatus(models.TextChoices):
    """The venue's own words, as they stand in its order book."""

    OPEN = "OPEN"
    TRIGGER_PENDING = "TRIGGER PENDING"
    COMPLETE = "COMPLETE"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


WORKING = (OrderStatus.OPEN, OrderStatus.TRIGGER_PENDING)


class FaultKind(models.TextChoices):
    """What can be made to go wrong with a request of one account."""

    LOSE_REQUEST = "lose_request", "read, forgotten, connection closed"
    LOSE_REPLY = "lose_reply", "carried out, connection closed without an answer"
    DELAY_REPLY = "delay_reply", "carried out, answered `seconds` later"
    ACCEPT_LATE = "accept_late", "never answered, carried out `seconds` later"
    REJECT = "reject", "refused with `text`"
    HTTP_STATUS = "http_status", "answered with `status`; carried out before only when `accept` is set"
    HTML = "html", "answered with a page of HTML; carried out before when `accept` is set"
    CUT_JSON = "cut_json", "carried out, half of the answer sent"
    MISSING_ID = "missing_id", "carried out, answered without the order's id"
    DRIP = "drip", "carried out, answered one byte every `seconds`"
    WRONG_ACCOUNT = "wrong_account", "carried out, answered in another account's name"
    STALE_BOOK = "stale_book", "order and trade book as they were `seconds` ago"
    TAGLESS_BOOK = "tagless_book", "order book without tags"
    PAGED_BOOK = "paged_book", "first row of the books only, and said so"


class FaultScope(models.TextChoices):
    """Which requests a fault may hit."""

    WRITE = "write"
    READ = "read"
    BOTH = "both"
