"""News of accounts to open connections."""

from rtserver.accounts.notices import ChannelNotices
from rtserver.accounts.records import Proof, Purpose
from rtserver.core.errors import BrokerUnavailable
from tests.accounts.outcome import result_of

PROOF = Proof("p1", Purpose.SIGN_UP, "a@example.org", "", {}, "", "", 0, 0, 0, 1, 0, 0, "", 0)


class World:
    def __init__(self, failure=None):
        self.told = []
        self.failure = failure

    async def act(self, *what):
        if self.failure:
            raise self.failure
        self.told.append(what)

    def notices(self):
        return ChannelNotices(self.act, self.act, lambda proof: f"rt_auth:{proof.id}")


def test_the_window_that_waits_is_told_on_its_channel():
    world = World()
    result_of(world.notices().confirmed(PROOF))
    assert world.told == [("rt_auth:p1", {"confirmed": True})]


def test_who_signs_out_everywhere_is_disconnected_for_good():
    world = World()
    result_of(world.notices().signed_out("u1", everywhere=True))
    ((user, code, _),) = world.told
    assert user == "u1"
    assert 4500 <= code < 5000, "clients do not come back after these codes"


def test_when_one_session_ends_the_clients_of_the_others_come_back():
    world = World()
    result_of(world.notices().signed_out("u1", everywhere=False))
    assert 4000 <= world.told[0][1] < 4500


def test_a_broker_that_is_away_undoes_nothing_for_the_person():
    result_of(World(BrokerUnavailable("no Redis")).notices().signed_out("u1", everywhere=True))
