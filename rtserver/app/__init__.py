"""What application developers write with: typed HTTP endpoints and typed realtime functions on one ``App``."""

from rtserver.app.application import App
from rtserver.app.endpoint import HTTPError, Limits, Response
from rtserver.app.events import Accept, Allow, Disconnect, Publish, Refuse
from rtserver.app.given import Clock, Connection, Database, Payment, Position, Publisher, Request, Transaction, User
from rtserver.app.parameters import Body, Cookie, Depends, Given, Header, Path, Query
from rtserver.app.waiting import wait

__all__ = [
    "Accept",
    "Allow",
    "App",
    "Body",
    "Clock",
    "Connection",
    "Cookie",
    "Database",
    "Depends",
    "Disconnect",
    "Given",
    "HTTPError",
    "Header",
    "Limits",
    "Path",
    "Payment",
    "Position",
    "Publish",
    "Publisher",
    "Query",
    "Refuse",
    "Request",
    "Response",
    "Transaction",
    "User",
    "wait",
]
