from django.apps import AppConfig
from django.db.backends.signals import connection_created


class CommonConfig(AppConfig):
    name = "apps.common"

    def ready(self) -> None:
        from apps.common.db import install_guard

        connection_created.connect(install_guard, dispatch_uid="arun_scope_guard")
