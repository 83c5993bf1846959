from django.apps import AppConfig


class TradingConfig(AppConfig):
    name = "apps.trading"

    def ready(self) -> None:
        from apps.trading import subscribers

        subscribers.wire()
