"""Tells twistd where the server is. Nothing else may be imported here: an error would hide the command."""

from twisted.application.service import ServiceMaker

rtserver = ServiceMaker("rtserver", "rtserver.tap", "A realtime server: WebSocket, HTTP and Redis fan-out", "rtserver")
