"""The application of the benchmark on Django (no middleware), its models checked with pydantic by hand. Runs in the peers'
environment."""

from __future__ import annotations

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from bench.http_apps import models
from bench.http_apps.models import Order

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], MIDDLEWARE=[], SECRET_KEY="benchmark")


def item(request: HttpRequest, item_id: int) -> HttpResponse:
    return HttpResponse(models.item(item_id).model_dump_json(), content_type="application/json")


def order(request: HttpRequest) -> HttpResponse:
    order = Order.model_validate_json(request.body)
    return HttpResponse(order.model_dump_json(), content_type="application/json")


urlpatterns = [path("items/<int:item_id>", item), path("orders", order)]
app = get_wsgi_application()
