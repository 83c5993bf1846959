from django.apps import AppConfig


class BrokersConfig(AppConfig):
    name = "apps.brokers"

    def ready(self) -> None:
        from apps.brokers import subscribers

        subscribers.connect()
