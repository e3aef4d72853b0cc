"""What rtserver asks: who connects, who may read what, what may be called out, and what a call answers (docs/proxies.md)."""

import hmac
import json
import time
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from airport.models import Flight

Asked = dict[str, Any]
Answer = dict[str, Any]
LONGEST_DELAY = 24 * 60


def asked_by_rtserver(view: Callable[[HttpRequest, Asked], Answer]) -> Callable[[HttpRequest], HttpResponse]:
    """The key takes the place of the CSRF token: no browser knows it."""

    @csrf_exempt
    @require_POST
    @wraps(view)
    def checked(request: HttpRequest) -> HttpResponse:
        if not hmac.compare_digest(request.headers.get("X-Backend-Key", "").encode(), settings.RTSERVER_KEY.encode()):
            return HttpResponseForbidden()
        return JsonResponse(view(request, json.loads(request.body)))

    return checked


@asked_by_rtserver
def connect(request: HttpRequest, asked: Asked) -> Answer:
    """The session's cookie came along, so `request.user` is the visitor. Passengers need not sign in."""
    user = request.user
    if not user.is_authenticated:
        return {"result": {"user": ""}}
    return {"result": {"user": str(user.pk), "info": {"name": user.get_username(), "staff": user.is_staff}}}


@asked_by_rtserver
def subscribe(request: HttpRequest, asked: Asked) -> Answer:
    return {"result": {}} if is_staff(asked) else error(1403, "for the staff only")


@asked_by_rtserver
def publish(request: HttpRequest, asked: Asked) -> Answer:
    """What becomes of a text that somebody sends to `calls:hall`."""
    text = asked["data"].get("text") if isinstance(asked.get("data"), dict) else None
    if not is_staff(asked):
        return error(1403, "for the staff only")
    if not isinstance(text, str) or not 0 < len(text.strip()) <= 120:
        return error(1400, "write 1 to 120 characters")
    return {"result": {"data": {"text": text.strip(), "at": time.time()}}}


@asked_by_rtserver
def call(request: HttpRequest, asked: Asked) -> Answer:
    """`flights:delay` with {number, minutes}: the flight is saved, and with that it is published (see publishing.py)."""
    if asked["method"] != "flights:delay":
        return {"error": {"code": 104}}
    if not is_staff(asked):
        return error(1403, "for the staff only")
    wanted = asked.get("data") or {}
    minutes = wanted.get("minutes")
    flight = Flight.objects.filter(number=wanted.get("number")).first()
    if flight is None or type(minutes) is not int or not 0 < minutes <= LONGEST_DELAY:
        return error(1400, "give the number of a flight, and 1 to 1440 minutes")
    flight.delay += timedelta(minutes=minutes)
    flight.save(update_fields=["delay"])
    return {"result": {"data": flight.as_shown()}}


def is_staff(asked: Asked) -> bool:
    """``user`` is what `connect` answered; whether it still is staff is asked each time."""
    return User.objects.filter(pk=asked.get("user") or None, is_staff=True, is_active=True).exists()


def error(code: int, message: str) -> Answer:
    return {"error": {"code": code, "message": message}}
