from typing import Any

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from airport.models import Flight


def board(request: HttpRequest) -> HttpResponse:
    """The page comes with the flights as they are; what changes later comes live."""
    facts = {
        "flights": all_flights(),
        "staff": request.user.is_staff,
        "port": settings.RTSERVER_PORT,
    }
    return render(request, "airport/board.html", {"facts": facts})


def flights(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"flights": all_flights()})


def all_flights() -> list[dict[str, Any]]:
    return [flight.as_shown() for flight in Flight.objects.all()]


def client(request: HttpRequest) -> FileResponse:
    """The small client that comes with rtserver."""
    return FileResponse(open(settings.RT_JS, "rb"), content_type="text/javascript")
