"""What the pages of accounts are rendered with: for each page a few sets of values."""

from types import SimpleNamespace

from rtserver.accounts.records import Account, Identity, ProofState, Purpose, Session

NOW = 1_795_357_037_000

ANNA = Account("u1", "anna", "anna@example.org", True, True, False, NOW - 86_400_000 * 400)
BEN = Account("u2", "ben", "ben@example.org", False, True, False, NOW)

GITHUB = SimpleNamespace(name="github", title="GitHub")
HOUSE = SimpleNamespace(name="house", title="House login")

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 "
    "Mobile/15E148 Safari/604.1"
)


def proof(purpose=Purpose.SIGN_UP, email="anna@example.org"):
    return SimpleNamespace(id="p1", purpose=purpose, email=email)


def identity(id, provider, handle):
    return Identity(id, "u1", provider, "", "1", handle, {}, NOW - 86_400_000 * 30)


def session(id, agent, remote, seen_at=NOW):
    return Session("hash", id, "u1", "csrf", agent, remote, NOW, seen_at, NOW)


DEVICES = [
    session("s1", FIREFOX, "192.0.2.7"),
    session("s2", SAFARI, "2001:db8::17", NOW - 7_200_000),
    session("s3", "curl/8.5", "198.51.100.3", NOW - 864_000_000),
]

WAITING = {"proof": proof(), "token": "eyJ.token", "websocket": "/connection/websocket", "next": "/shop"}

LETTER = SimpleNamespace(
    id="1",
    to="anna@example.org",
    subject="Confirm your address",
    sent_at=NOW,
    text="Hello,\n\nplease confirm that anna@example.org is yours:\n\n"
    "https://example.org/auth/c/Zk3v0mC1Qm2r9m8Yv0aQxw.SnRk-6Lwq7kq3mMT8sI6uZkq4YQ?a=1&b=2\n\nor type 482 913.\n\n"
    'If you did not ask for this, <throw> it "away".\n',
)

CODE = "/auth/c/signed"

SAMPLES = {
    "sign_in": {
        "plain": {"next": "/shop"},
        "providers": {"providers": [GITHUB, HOUSE], "notice": "password_changed"},
        "wrong": {
            "values": {"name": "anna"},
            "mistakes": {"": "Name or password are wrong: check both, or ask for a new password."},
        },
        "closed": {"sign_up": False, "passwords": False, "providers": [GITHUB]},
        "nothing": {"passwords": False},
    },
    "sign_up": {
        "plain": {"providers": [GITHUB]},
        "wrong": {
            "values": {"email": "anna@", "username": "anna"},
            "mistakes": {
                "email": "Write the whole address, like anna@example.org.",
                "password": "Take at least 8 characters.",
            },
        },
    },
    "forgotten": {"plain": {}},
    "address": {
        "plain": {"token": "t1", "provider": "GitHub", "handle": "anna-k"},
        "wrong": {
            "token": "t1",
            "provider": "GitHub",
            "values": {"email": "anna"},
            "mistakes": {"email": "An address has one @."},
        },
    },
    "mail": {
        "waiting": {**WAITING, "state": ProofState.WAITING},
        "wrong": {
            **WAITING,
            "state": ProofState.WAITING,
            "mistakes": {"digits": "These are not the digits: 4 more tries."},
        },
        "quiet": {"proof": proof(), "state": ProofState.WAITING, "quiet": True},
        "confirmed": {"proof": proof(), "state": ProofState.CONFIRMED},
        "expired": {"proof": proof(), "state": ProofState.EXPIRED},
        "redeemed": {"proof": proof(), "state": ProofState.REDEEMED},
    },
    "confirm": {
        "sign_up": {"action": CODE, "proof": proof(), "username": "anna"},
        "provider": {"action": CODE, "proof": proof(Purpose.PROVIDER), "provider": "GitHub", "handle": "anna-k"},
        "joins": {
            "action": CODE,
            "proof": proof(Purpose.PROVIDER),
            "provider": "GitHub",
            "handle": "mallory",
            "existing": "anna",
        },
        "sign_in_first": {
            "action": CODE,
            "proof": proof(Purpose.PROVIDER),
            "provider": "GitHub",
            "handle": "mallory",
            "existing": "anna",
            "needs_sign_in": True,
            "here": CODE,
        },
        "address": {"action": CODE, "proof": proof(Purpose.ADDRESS, "new@example.org"), "existing": "anna"},
    },
    "confirmed": {
        "plain": {"email": "anna@example.org", "action": f"{CODE}/continue"},
        "done": {"email": "anna@example.org"},
    },
    "new_password": {
        "plain": {"action": CODE, "username": "anna"},
        "wrong": {"action": CODE, "username": "anna", "mistakes": {"password": "Take at least 8 characters."}},
    },
    "onward": {
        "plain": {
            "provider": "House login",
            "action": "/auth/complete/house",
            "fields": {"state": "s1", "code": "c1", "user": '{"name": "<Anna>"}', "rt_again": "1"},
        },
    },
    "profile": {
        "full": {
            "account": ANNA,
            "identities": [identity("i1", "github", "anna-k"), identity("i2", "old", "")],
            "titles": {"github": "GitHub"},
            "sessions": DEVICES,
            "session": "s1",
            "can_unlink": True,
            "linkable": [HOUSE],
            "notice": "linked",
        },
        "small": {
            "account": BEN,
            "identities": [identity("i1", "github", "ben")],
            "titles": {"github": "GitHub"},
            "sessions": DEVICES[:1],
            "session": "s1",
            "can_unlink": False,
            "linkable": [],
        },
        "wrong": {
            "account": ANNA,
            "identities": [],
            "titles": {},
            "sessions": DEVICES[:1],
            "session": "s1",
            "can_unlink": False,
            "linkable": [GITHUB],
            "mistakes": {"current": "That is not your password."},
        },
        "wrong_address": {
            "account": ANNA,
            "identities": [],
            "titles": {},
            "sessions": DEVICES[:1],
            "session": "s1",
            "can_unlink": False,
            "linkable": [],
            "values": {"email": "new@example.org"},
            "mistakes": {"password": "That is not your password."},
        },
    },
    "error": {
        "known": {"code": "authorization_declined"},
        "unknown": {"code": "never-heard-of", "request_id": "8f14e45f"},
        "own": {"code": "too_many_attempts", "sentence": "That was too often: try again in 4 minutes."},
    },
    "letters": {"some": {"letters": [LETTER, LETTER]}, "none": {"letters": []}},
    "letter": {"plain": {"letter": LETTER}},
}

CASES = [(page, name) for page, sets in SAMPLES.items() for name in sets]


def values(page, name):
    return {"csrf": "the-csrf-token", **SAMPLES[page][name]}
