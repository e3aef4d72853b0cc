"""Lets things happen at the airport: a process of its own, to show that any one may save and publish."""

import random
import time
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from airport.models import Flight
from airport.publishing import send

EVENT_SECONDS = 4
STEPS = {
    Flight.Status.ON_TIME: Flight.Status.BOARDING,
    Flight.Status.BOARDING: Flight.Status.LAST_CALL,
    Flight.Status.LAST_CALL: Flight.Status.DEPARTED,
}
"""What a flight becomes next. One that has departed is put on for later again."""


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        second = 0
        while True:
            send("clock:airport", {"at": time.time()})
            second += 1
            if second % EVENT_SECONDS == 0:
                self.something_happens()
            time.sleep(1)

    def something_happens(self) -> None:
        flights = list(Flight.objects.all())
        if not flights:
            return
        first, other = flights[0], random.choice(flights)
        if random.random() < 0.5:
            self.go_on(first)
        elif random.random() < 0.5:
            other.gate = f"{random.choice('ABC')}{random.randint(1, 9)}"
            other.save(update_fields=["gate"])
        else:
            other.delay = timedelta(minutes=random.choice((0, 5, 10, 25)))
            other.save(update_fields=["delay"])

    def go_on(self, flight: Flight) -> None:
        if flight.status in STEPS:
            flight.status = STEPS[Flight.Status(flight.status)]
            flight.save(update_fields=["status"])
            return
        last = Flight.objects.latest("scheduled")
        flight.scheduled = max(last.scheduled, timezone.now()) + timedelta(minutes=12)
        flight.status, flight.delay = Flight.Status.ON_TIME, timedelta(0)
        flight.save()
