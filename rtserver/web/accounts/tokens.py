"""Tokens for the realtime server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtserver.app.endpoint import Endpoint, Response
from rtserver.web.accounts.answers import json
from rtserver.web.accounts.bodies import Line, Token
from rtserver.web.accounts.desk import Desk
from rtserver.web.accounts.endpoint import AccountEndpoint, Door
from rtserver.web.accounts.visit import Member


class Tokens:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._tokens = desk.flows.tokens

    def endpoints(self) -> list[Endpoint]:
        denied = {403: "The channel is none of this person's (`accounts.subscription_channels`)"}
        doors: dict[Callable[..., Any], Door] = {
            self.token: Door("GET", "/auth/token"),
            self.subscription_token: Door("GET", "/auth/subscription-token", others=(403,), meanings=denied),
        }
        return [AccountEndpoint(self._desk, door, function) for function, door in doors.items()]

    async def token(self, member: Member) -> Token | Response:
        """A connection token of who is signed in

        It ends with the session, or after ``expires_in`` seconds: fetch a new one then."""
        token, seconds = self._tokens.connection(member.account, member.session)
        return json(Token(token=token, expires_in=seconds))

    async def subscription_token(self, member: Member, channel: Line) -> Token | Response:
        """A subscription token for one of one's channels"""
        token, seconds = self._tokens.subscription(member.account, channel)
        return json(Token(token=token, expires_in=seconds))
