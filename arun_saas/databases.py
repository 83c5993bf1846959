"""Which physical database a model lives in: the sandbox's own, or the platform's."""

from typing import Any

PLATFORM_ALIASES = frozenset({"default", "dispatch", "relay", "support"})
SANDBOX_APP = "sandbox"


class AliasRouter:
    """Sends the sandbox's models to the `sandbox` database and keeps all others out of it."""

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "sandbox" if model._meta.app_label == SANDBOX_APP else None

    db_for_write = db_for_read

    def allow_relation(self, obj1: Any, obj2: Any, **hints: Any) -> bool | None:
        return bool((obj1._meta.app_label == SANDBOX_APP) == (obj2._meta.app_label == SANDBOX_APP))

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool:
        if db == "sandbox":
            return app_label == SANDBOX_APP
        return db == "default" and app_label != SANDBOX_APP
