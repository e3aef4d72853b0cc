"""Answers at the end of the turn."""

from twisted.internet.task import Clock

from rtserver.eager import write_now
from rtserver.web.outgoing import Outgoing


class Holder:
    def __init__(self, name, flushed, also=None):
        self._name = name
        self._flushed = flushed
        self._also = also

    def flush(self):
        self._flushed.append(self._name)
        if self._also is not None:
            self._also()


class Transport:
    """What ``write_now`` sees of Twisted's. ``takes``: how many bytes the socket takes, or an error."""

    connected, disconnecting, offset, dataBuffer, _tempDataBuffer = 1, 0, 0, b"", ()

    def __init__(self, takes):
        self._takes = takes
        self.sent = []
        self.written = []

    def writeSomeData(self, data):
        self.sent.append(data)
        return self._takes

    def write(self, data):
        self.written.append(data)


def test_the_answers_of_a_turn_leave_together_at_its_end_in_their_order():
    clock, flushed = Clock(), []
    outgoing = Outgoing(clock)
    for name in "abc":
        outgoing.add(Holder(name, flushed))
    assert flushed == []
    assert len(clock.getDelayedCalls()) == 1
    clock.advance(0)
    assert flushed == ["a", "b", "c"]


def test_an_answer_that_comes_while_others_leave_waits_for_the_end_of_the_next_turn():
    clock, flushed = Clock(), []
    outgoing = Outgoing(clock)
    outgoing.add(Holder("a", flushed, lambda: outgoing.add(Holder("b", flushed))))
    clock.advance(0)
    clock.advance(0)
    assert flushed == ["a", "b"]
    assert clock.getDelayedCalls() == []


def test_what_the_socket_takes_is_not_written_again():
    transport = Transport(takes=6)
    write_now(transport, b"answer")
    assert (transport.sent, transport.written) == ([b"answer"], [])


def test_what_the_socket_does_not_take_goes_twisteds_way():
    transport = Transport(takes=2)
    write_now(transport, b"answer")
    assert transport.written == [b"swer"]


def test_a_socket_that_fails_leaves_the_failure_to_twisted():
    transport = Transport(takes=OSError("gone"))
    write_now(transport, b"answer")
    assert transport.written == [b"answer"]


def test_nothing_overtakes_bytes_that_wait_already():
    for name, value in (("_tempDataBuffer", [b"x"]), ("dataBuffer", b"x"), ("disconnecting", 1), ("connected", 0)):
        transport = Transport(takes=6)
        setattr(transport, name, value)
        write_now(transport, b"answer")
        assert (transport.sent, transport.written) == ([], [b"answer"])
