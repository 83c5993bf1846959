from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    name = "apps.notifications"

    def ready(self) -> None:
        from apps.notifications import alarms, subscribers

        subscribers.connect()
        alarms.connect()
