"""The demonstration page: buy something, and see it being paid."""

from __future__ import annotations

from dataclasses import replace

from rtserver.app.endpoint import Endpoint, Response
from rtserver.web.accounts.answers import HTML
from rtserver.web.accounts.endpoint import AccountEndpoint, Door
from rtserver.web.accounts.visit import Manners, Member
from rtserver.web.payments.desk import Desk
from rtserver.web.payments.endpoint import TAGS
from rtserver.web.payments.policy import policy
from rtserver.web.payments.samples import NONCES, PREFIX
from rtserver.web.payments.static import static_endpoints

PATH = "/payment/demo"
SIMULATOR = "simulator"


class PaymentPageEndpoint(AccountEndpoint):
    """A page of accounts that may load the card form."""

    def __init__(self, desk: Desk, door: Door, page: Page) -> None:
        super().__init__(desk.accounts, door, page.page)
        self.headers = tuple({**dict(self.headers), "content-security-policy": policy(desk.options)}.items())
        self.description = replace(self.description, tags=TAGS)


class Page:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self) -> list[Endpoint]:
        door = Door("GET", PATH, Manners(shows_page=True), others=(303,))
        return [PaymentPageEndpoint(self._desk, door, self), *static_endpoints(self._desk.pages)]

    async def page(self, member: Member) -> Response:
        """Page: buy something

        Who is not signed in is led to the page to sign in, and back here then."""
        options, account = self._desk.options, member.account
        content = self._desk.pages.render(
            csrf=member.visit.csrf,
            account=account,
            mode=options.mode,
            channel=options.channel.replace("{user}", account.id),
            staff_channel=options.staff_channel if account.is_staff else "",
            websocket=self._desk.accounts.websocket,
            needs_3d_secure=options.needs_3d_secure,
            has_card_form=self._desk.pages.has_card_form,
            nonces=NONCES if options.mode == SIMULATOR else (),
            test_prefix=PREFIX,
        )
        return Response(content, HTML)
