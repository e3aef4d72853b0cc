"""WebSocket by hand: handshakes and frames that no library would send."""

import socket
import struct


def upgrade(path, headers=b""):
    return (
        b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + headers + b"\r\n"
    )


def handshake(server, headers=b"", link=None):
    """A connection after its WebSocket handshake, and the answer to that."""
    if link is None:
        link = socket.create_connection(("127.0.0.1", server.port))
        link.settimeout(10)
    link.sendall(upgrade(b"/connection/websocket", headers))
    return link, read_until(link, b"\r\n\r\n")


def read_until(link, text):
    got = b""
    while text not in got:
        data = link.recv(1 if text == b"\r\n\r\n" else 4096)
        if not data:
            break
        got += data
    if got.startswith(b"HTTP/1.1 5"):
        got += link.recv(4096)
    return got


def masked(first, payload):
    """A frame as clients send it, masked with zeros."""
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65_536:
        head = struct.pack("!BBH", first, 0xFE, size)
    else:
        head = struct.pack("!BBQ", first, 0xFF, size)
    return head + bytes(4) + payload


def close_code(link):
    """Read frames up to the close frame; its code, 1006 when the connection just ends."""
    got = b""
    try:
        while data := link.recv(65_536):
            got += data
            while len(got) >= 2:
                size = got[1] & 0x7F
                start = {126: 4, 127: 10}.get(size, 2)
                if size == 126:
                    size = int.from_bytes(got[2:4])
                if len(got) < start + size:
                    break
                if got[0] & 0x0F == 8:
                    link.close()
                    return int.from_bytes(got[start : start + 2])
                got = got[start + size :]
    except ConnectionError:
        return 1006
    link.close()
    return 1006
