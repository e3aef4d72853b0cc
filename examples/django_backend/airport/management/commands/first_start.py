"""Makes database, flights and an administrator, where they are not there yet."""

import os
import secrets
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.utils import timezone

from airport.models import Flight

FLIGHTS = (
    *(
        ("RT 101", "Lisbon", "A3"),
        ("RT 218", "Reykjavik", "B1"),
        ("TW 077", "Vienna", "A7"),
        ("RT 440", "Tallinn", "C2"),
    ),
    *(
        ("AB 912", "Marrakesh", "B4"),
        ("RT 305", "Bergen", "A1"),
        ("TW 631", "Tbilisi", "C5"),
        ("RT 550", "Valletta", "B2"),
    ),
)


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        if not User.objects.filter(is_superuser=True).exists():
            password = os.environ.get("ADMIN_PASSWORD") or secrets.token_urlsafe(9)
            User.objects.create_superuser("admin", password=password)
            self.stdout.write(f"\n    made now, shown this once: user admin, password {password}\n")
        if not Flight.objects.exists():
            begin = timezone.now().replace(second=0, microsecond=0) + timedelta(minutes=20)
            Flight.objects.bulk_create(
                Flight(
                    number=name, destination=destination, gate=gate, scheduled=begin + timedelta(minutes=12 * number)
                )
                for number, (name, destination, gate) in enumerate(FLIGHTS)
            )
