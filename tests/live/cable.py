"""A cable between client and server that a test can pull out: every connection through it ends at once, without a word."""

import selectors
import socket
import threading


class Cable:
    """Forwards the connections of a free port of the loopback to ``port``."""

    def __init__(self, port):
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._pairs = {}
        self._plugged = True
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._running = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def base(self):
        return f"127.0.0.1:{self.port}"

    def pull(self):
        """Reset every connection, and refuse new ones until ``plug``."""
        with self._lock:
            self._plugged = False
            for end in list(self._pairs):
                self._reset(end)

    def plug(self):
        with self._lock:
            self._plugged = True

    def close(self):
        self._running = False
        self._wake.send(b"x")
        self._thread.join(5)
        self.pull()
        for each in (self._listener, self._wake, self._woken, self._selector):
            each.close()

    def _run(self):
        while self._running:
            for key, _ in self._selector.select(1):
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj in self._pairs:
                        self._forward(key.fileobj)

    def _accept(self):
        near, _ = self._listener.accept()
        if not self._plugged:
            _abort(near)
            return
        far = socket.create_connection(self._target)
        for end, other in ((near, far), (far, near)):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs[end] = other
            self._selector.register(end, selectors.EVENT_READ)

    def _forward(self, end):
        try:
            data = end.recv(65536)
            if data:
                self._pairs[end].sendall(data)
                return
        except OSError:
            self._reset(end)
            return
        self._reset(end)

    def _reset(self, end):
        other = self._pairs.pop(end, None)
        if other is None:
            return
        self._pairs.pop(other, None)
        for each in (end, other):
            self._selector.unregister(each)
            _abort(each)


def _abort(connection):
    """Close with a reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
    connection.close()
