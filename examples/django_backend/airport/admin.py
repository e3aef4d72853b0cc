from django.contrib import admin

from airport.models import Flight


@admin.register(Flight)
class FlightAdmin(admin.ModelAdmin):
    """Whatever is changed here is on every open board at once."""

    list_display = ["number", "destination", "scheduled", "delay", "gate", "status"]
    list_editable = ["gate", "status"]
