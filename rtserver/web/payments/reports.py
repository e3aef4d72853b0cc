"""Our transactions against the gateway's, on demand."""

from __future__ import annotations

from rtserver.app.endpoint import Endpoint
from rtserver.payments.reports import DAY
from rtserver.web.api_http import ApiKey
from rtserver.web.payments.bodies import ReportFacts, Span
from rtserver.web.payments.desk import Desk
from rtserver.web.payments.endpoint import Door, PaymentEndpoint
from rtserver.web.payments.people import Staff

SECONDS = 600.0
"""For one report."""
OTHERS = (401, 409, 422)


class Reconciling:
    """``backend_endpoints`` are for programs with the API key: the command-line tool is one."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self) -> list[Endpoint]:
        return [
            PaymentEndpoint(self._desk, Door("POST", "/payment/reconcile", OTHERS, seconds=SECONDS), self.reconcile)
        ]

    def backend_endpoints(self) -> list[Endpoint]:
        door = Door("POST", "/api/payments/reconcile", OTHERS, seconds=SECONDS)
        return [PaymentEndpoint(self._desk, door, self.reconcile_by_key)]

    async def reconcile(self, staff: Staff, body: Span = Span()) -> ReportFacts:  # noqa: B008
        """Staff: compare our transactions with the gateway's, both ways

        What is only behind here is brought up to date by the way. One report at a time, of at most 93 days."""
        return await self._report(body)

    async def reconcile_by_key(self, key: ApiKey, body: Span = Span()) -> ReportFacts:  # noqa: B008
        """Compare our transactions with the gateway's, both ways

        As ``POST /payment/reconcile``, for programs with the API key: ``rtserver payments reconcile`` is one."""
        return await self._report(body)

    async def _report(self, span: Span) -> ReportFacts:
        end = span.end or self._desk.parts.now
        report = await self._desk.flows.reports.reconcile(span.start or max(0, end - DAY), end)
        return ReportFacts(**report.as_json(), text=report.text())
