"""Disputes, for staff."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtserver.app.endpoint import Endpoint
from rtserver.web.payments.bodies import DisputeFacts, DisputeList, Evidence
from rtserver.web.payments.desk import Desk
from rtserver.web.payments.endpoint import Door, PaymentEndpoint
from rtserver.web.payments.people import Staff


class Disputes:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._flow = desk.flows.disputes

    def endpoints(self) -> list[Endpoint]:
        one, others = "/payment/disputes/{id}", (401, 404, 409, 422)
        doors: dict[Callable[..., Any], Door] = {
            self.disputes: Door("GET", "/payment/disputes", (401, 403), asks_gateway=True),
            self.accept: Door("POST", f"{one}/accept", others, asks_gateway=True),
            self.evidence: Door("POST", f"{one}/evidence", others, asks_gateway=True),
            self.finalize: Door("POST", f"{one}/finalize", others, asks_gateway=True),
        }
        return [PaymentEndpoint(self._desk, door, function) for function, door in doors.items()]

    async def disputes(self, staff: Staff, open: bool = False, refresh: bool = False) -> DisputeList:
        """Staff: payments whose payers ask the bank for the money

        The latest first; ``open``: only those that can still be answered; ``refresh``: ask the gateway for new ones first."""
        if refresh:
            await self._flow.refresh(staff.payer)
        return DisputeList(disputes=[DisputeFacts(**each) for each in await self._flow.listed(staff.payer, open)])

    async def accept(self, staff: Staff, id: str) -> DisputeFacts:
        """Staff: give the money back"""
        return DisputeFacts(**await self._flow.accept(staff.payer, id))

    async def evidence(self, staff: Staff, id: str, body: Evidence) -> DisputeFacts:
        """Staff: add a text that the bank will read"""
        return DisputeFacts(**await self._flow.add_evidence(staff.payer, id, body.text))

    async def finalize(self, staff: Staff, id: str) -> DisputeFacts:
        """Staff: send the evidence to the bank

        Nothing can be added afterwards."""
        return DisputeFacts(**await self._flow.finalize(staff.payer, id))
