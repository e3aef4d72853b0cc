"""A provider of OpenID 2.0: the server of python3-openid behind https on a free port of the loopback, in threads of its own."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from openid.consumer.discover import OPENID_1_1_TYPE, OPENID_2_0_TYPE, OPENID_IDP_2_0_TYPE
from openid.extensions.sreg import SRegRequest, SRegResponse
from openid.server.server import Server
from openid.store.memstore import MemoryStore
from social_core.backends.open_id import OpenIdAuth
from social_core.backends.steam import SteamOpenId

from tests.live.certificate import write_certificate

HERE = "tests.live.openid_provider"
XRDS = (
    '<xrds:XRDS xmlns:xrds="xri://$xrds" xmlns="xri://$xrd*($v*2.0)"><XRD><Service><Type>{}</Type><URI>{}</URI></Service>'
    "</XRD></xrds:XRDS>"
)


class LocalOpenId(OpenIdAuth):
    """``LocalProvider`` gives it its address."""

    name = "local"
    title = "Local"


class LocalSteam(SteamOpenId):
    """As Steam, with the provider here."""


class LocalProvider:
    """``asked`` is what the server wanted of it: paths, and what it posted. ``says`` are answers in the place of the
    usual ones, by path: status, headers and body. ``kind`` is the type of service that it calls itself."""

    def __init__(self, place: Path) -> None:
        write_certificate(place)
        self.certificate = str(place / "cert.pem")
        self.asked: list[str] = []
        self.says: dict[str, tuple[int, Mapping[str, str], str]] = {}
        self.kind = OPENID_IDP_2_0_TYPE
        provider = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(urlsplit(self.path).path)
                self.give(*provider.page(self.path))

            def do_POST(self) -> None:
                form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                provider.asked.append(form["openid.mode"])
                response = provider.server.handleRequest(provider.server.decodeRequest(form))
                answer = provider.server.encodeResponse(response)
                self.give(answer.code, {}, answer.body)

            def give(self, status: int, headers: Mapping[str, str], body: str | bytes) -> None:
                data = body.encode() if isinstance(body, str) else body
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, place / "key.pem")
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.origin = f"https://127.0.0.1:{self._http.server_port}"
        self.url = f"{self.origin}/openid"
        self.endpoint = f"{self.url}/login"
        self.server = Server(MemoryStore(), self.endpoint)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> LocalProvider:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)

    def page(self, path: str) -> tuple[int, Mapping[str, str], str]:
        where = urlsplit(path)
        if where.path in self.says:
            return self.says[where.path]
        if where.path == "/players":
            number = parse_qs(where.query)["steamids"][0]
            players = [{"steamid": number, "personaname": "gordon"}]
            return 200, {"Content-Type": "application/json"}, json.dumps({"response": {"players": players}})
        return self.service(self.kind if where.path == "/openid" else OPENID_2_0_TYPE, self.endpoint)

    def service(self, kind: str, endpoint: str) -> tuple[int, Mapping[str, str], str]:
        return 200, {"Content-Type": "application/xrds+xml"}, XRDS.format(kind, endpoint)

    def old_service(self) -> None:
        """It speaks version 1 of OpenID only."""
        self.kind = OPENID_1_1_TYPE

    def identity(self, name: str) -> str:
        return f"{self.url}/id/{name}"

    def sign_in(self, url: str, name: str, **profile: str) -> dict[str, str]:
        """What the browser of somebody brings back who was sent to ``url``. "" is who does not allow it."""
        assert url.startswith(f"{self.endpoint}?"), url
        request = self.server.decodeRequest(dict(parse_qsl(urlsplit(url).query)))
        response = request.answer(bool(name), identity=self.identity(name) if name else None)
        if profile:
            response.addExtension(SRegResponse.extractResponse(SRegRequest.fromOpenIDRequest(request), profile))
        location = self.server.encodeResponse(response).headers["location"]
        assert "/auth/complete/" in location, location
        return dict(parse_qsl(urlsplit(location).query))
