"""The flights of today."""

from datetime import timedelta
from typing import Any

from django.db import models


class Flight(models.Model):
    class Status(models.TextChoices):
        ON_TIME = "on time"
        BOARDING = "boarding"
        LAST_CALL = "last call"
        DEPARTED = "departed"
        CANCELLED = "cancelled"

    number = models.CharField(max_length=8, unique=True)
    destination = models.CharField(max_length=40)
    scheduled = models.DateTimeField()
    delay = models.DurationField(default=timedelta(0))
    gate = models.CharField(max_length=4, blank=True)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.ON_TIME)

    class Meta:
        ordering = ["scheduled"]

    def __str__(self) -> str:
        return f"{self.number} to {self.destination}"

    @property
    def expected(self) -> Any:
        return self.scheduled + self.delay

    def as_shown(self) -> dict[str, Any]:
        """What the board shows. Times in Unix seconds."""
        return {
            "id": self.pk,
            "number": self.number,
            "destination": self.destination,
            "scheduled": self.scheduled.timestamp(),
            "expected": self.expected.timestamp(),
            "gate": self.gate,
            "status": self.status,
        }
