from django.apps import AppConfig


class AirportConfig(AppConfig):
    name = "airport"

    def ready(self) -> None:
        from airport import publishing

        publishing.follow_models()
