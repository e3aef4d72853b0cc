"""The command-line tool."""

import io
import json

import jwt
import pytest

from rtserver import __version__
from rtserver.cli import World, base_url, main
from rtserver.config import complete, load
from rtserver.config.bounds import size, worst_case

NOW = 1_700_000_000


class Console:
    """Runs the tool in a world of its own. ``answer`` is what the server says, or the error that the way to it raises."""

    def __init__(self, environ, answer=(200, b'{"result":{}}')):
        self.environ = environ
        self.answer = answer
        self.requests = []

    def send(self, request, seconds):
        self.requests.append(request)
        self.seconds = seconds
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def run(self, *argv):
        self.out, self.err = io.StringIO(), io.StringIO()
        status = main(argv, World(self.environ, lambda: NOW, self.send, self.out, self.err))
        return status, self.out.getvalue(), self.err.getvalue()


@pytest.fixture
def console(tmp_path):
    return Console({"RTSERVER_STATE_DIR": str(tmp_path / "state")})


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "rtserver.toml"
        path.write_text(text)
        return str(path)

    return write


KEY = '[client.token]\nhmac_secret_key = "0123456789abcdef0123456789abcdef"\n'
SECRET = "0123456789abcdef0123456789abcdef"


SHOP = """
[accounts]
enabled = true
base_url = "https://rt.example.com"
templates = "{templates}"
[payments]
enabled = true
mode = "production"
merchant_id = "{merchant}"
public_key = "p"
private_key = "k"
"""


def test_version_is_printed(console):
    assert console.run("version") == (0, f"rtserver {__version__}\n", "")


def test_a_command_line_that_cannot_be_understood_ends_with_2(console, capsys):
    with pytest.raises(SystemExit) as caught:
        console.run("publish")
    assert caught.value.code == 2
    assert "CHANNEL" in capsys.readouterr().err


# check-config


def test_a_good_file_is_ok_with_the_worst_case(console, file):
    status, out, err = console.run("check-config", file("[client]\nconnection_limit = 1000"))
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "ok"
    assert "1,000 connections (client.connection_limit) x 1.0 MiB each (client.queue_max_size) = 1000.0 MiB" in out


def test_a_bad_file_is_told_mistake_by_mistake(console, file):
    status, out, err = console.run("check-config", file('[client]\nping_interval = 5\n[engine]\ntype = "x"'))
    assert (status, out) == (1, "")
    assert [line.split(":")[0] for line in err.splitlines()] == ["client.ping_interval", "engine.type"]


def test_a_file_that_is_not_there_is_told_in_a_sentence(console, tmp_path):
    status, _, err = console.run("check-config", str(tmp_path / "none.toml"))
    assert status == 1
    assert err.endswith("none.toml cannot be read: No such file or directory\n")


def test_a_file_that_is_no_text_is_told_in_a_sentence(console, tmp_path):
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    assert "is no text in UTF-8" in console.run("check-config", str(tmp_path / "x"))[2]


def test_checking_a_file_makes_no_secrets(console, file, tmp_path):
    assert console.run("check-config", file(""))[0] == 0
    assert not (tmp_path / "state").exists()


def test_the_worst_case_names_what_bounds_the_connections():
    config = load("", {})
    assert "65,536 connections (the limit of open files here) x 1.0 MiB" in worst_case(config, 65_536)
    assert "connections without limit; set client.connection_limit" in worst_case(config, -1)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (1024, "1.0 KiB"), (2**30, "1.0 GiB"), (2**60, "1024.0 PiB")]
)
def test_sizes_are_written_for_people(count, text):
    assert size(count) == text


@pytest.mark.parametrize(("merchant", "status"), [("m", 0), ("\N{HORIZONTAL ELLIPSIS}", 1)])
def test_what_would_stop_the_start_for_its_keys_is_told(console, file, tmp_path, merchant, status):
    found, _, err = console.run("check-config", file(SHOP.format(templates=tmp_path, merchant=merchant)))
    assert (found, "payments.merchant_id" in err) == (status, bool(status))


def test_templates_are_looked_at_and_all_that_is_wrong_with_them_is_told(console, file, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "sign_in.html").write_text("{% if %}")
    (tmp_path / "letters" / "reset.txt").write_text("no subject")
    status, out, err = console.run("check-config", file(SHOP.format(templates=tmp_path, merchant="m")))
    assert (status, out) == (1, "")
    assert "sign_in.html, line 1" in err and "reset.txt" in err


# token


def claims(text, **options):
    return jwt.decode(
        text.strip(), SECRET, ["HS256"], {"verify_exp": False, "verify_aud": False, "verify_iat": False}, **options
    )


def test_a_connection_token_has_user_and_expiry(console, file):
    status, out, _ = console.run("token", "--user", "42", "--config", file(KEY))
    assert status == 0
    assert claims(out) == {"sub": "42", "iat": NOW, "exp": NOW + 3600}


def test_a_subscription_token_has_the_channel_and_info(console, file):
    arguments = ("--user", "42", "--channel", "chat:1", "--ttl", "10m", "--info", '{"name": "Ann"}')
    _, out, _ = console.run("token", *arguments, "--config", file(KEY))
    assert claims(out) == {
        "sub": "42",
        "channel": "chat:1",
        "iat": NOW,
        "exp": NOW + 600,
        "info": {"name": "Ann"},
    }


def test_a_token_for_ever_has_no_expiry(console, file):
    assert claims(console.run("token", "--user", "", "--ttl", "0s", "--config", file(KEY))[1]) == {
        "sub": "",
        "iat": NOW,
    }


def test_a_token_has_the_claims_that_the_configuration_asks_for(console, file):
    text = KEY + 'audience = "web"\nissuer = "me"\nuser_id_claim = "uid"'
    found = claims(console.run("token", "--user", "42", "--config", file(text))[1])
    assert (found["aud"], found["iss"], found["uid"]) == ("web", "me", "42")
    assert "sub" not in found


def test_subscription_tokens_are_signed_with_their_own_key_when_they_have_one(console, file):
    text = KEY.replace("0", "9") + f'[client.subscription_token]\nenabled = true\nhmac_secret_key = "{SECRET}"'
    assert claims(console.run("token", "--user", "42", "--channel", "x", "--config", file(text))[1])["channel"] == "x"


def test_without_a_file_the_kept_secret_signs(console, tmp_path):
    made = complete(load(None, console.environ)).config
    _, out, _ = console.run("token", "--user", "42")
    assert jwt.decode(out.strip(), made.token.hmac_secret_key, ["HS256"], {"verify_exp": False, "verify_iat": False})


@pytest.mark.parametrize("text", ["", KEY + 'jwks_public_endpoint = "https://h/certs"'])
def test_without_a_key_to_sign_with_a_sentence_says_how_to_get_one(console, file, text):
    status, out, err = console.run("token", "--user", "42", "--config", file(text))
    assert (status, out) == (1, "")
    assert "set client.token.hmac_secret_key" in err


@pytest.mark.parametrize(("option", "value"), [("--ttl", "5"), ("--info", "{")])
def test_an_option_that_cannot_be_read_is_told(console, file, option, value):
    status, _, err = console.run("token", "--user", "42", option, value, "--config", file(KEY))
    assert status == 1
    assert err.startswith(f"rtserver: {option}")


# publish


def test_a_message_is_posted_with_the_key_of_the_configuration(console, file):
    console.answer = (200, b'{"result":{"offset":7,"epoch":"abc"}}')
    status, out, _ = console.run("publish", "chat:1", '{"t": 1}', "--config", file('[http_api]\nkey = "k"'))
    (request,) = console.requests
    assert (status, json.loads(out)) == (0, {"offset": 7, "epoch": "abc"})
    assert request.full_url == "http://127.0.0.1:8000/api/publish"
    assert request.get_method() == "POST"
    assert json.loads(request.data) == {"channel": "chat:1", "data": {"t": 1}}
    assert request.get_header("X-api-key") == "k"


def test_address_and_key_can_be_given(console):
    console.run("publish", "c", "1", "--url", "https://rt.example.com/", "--key", "given")
    assert console.requests[0].full_url == "https://rt.example.com/api/publish"
    assert console.requests[0].get_header("X-api-key") == "given"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ('listen = ["tcp:9000"]', "http://127.0.0.1:9000"),
        ('listen = ["unix:/run/x", "tcp:port=9000:interface=0.0.0.0"]', "http://127.0.0.1:9000"),
        (r'listen = ["tcp6:9000:interface=\\:\\:"]', "http://[::1]:9000"),
        ('[http_server]\ninternal = ["tcp:9100:interface=10.0.0.1"]', "http://10.0.0.1:9100"),
    ],
)
def test_the_address_is_told_from_where_the_server_listens(text, url):
    assert base_url(load(text, {})) == url


def test_a_server_on_no_tcp_port_needs_an_address(console, file):
    status, _, err = console.run("publish", "c", "1", "--config", file('listen = ["unix:/run/x"]'))
    assert status == 1
    assert "give its address by --url" in err


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            (200, b'{"error":{"code":102,"message":"unknown channel"}}'),
            "the server refused: unknown channel (code 102)",
        ),
        ((404, b'{"code":102,"message":"unknown channel"}'), "the server refused: unknown channel (code 102)"),
        ((401, b""), "the server does not take the API key"),
        ((404, b"<html>"), "there is no API at this address"),
        ((502, b"<html>"), "HTTP status 502"),
        ((200, b"{}"), "is none of this API"),
        ((200, b"[]"), "is none of this API"),
        (ConnectionRefusedError(111, "Connection refused"), "is the server running"),
    ],
)
def test_every_failure_is_one_sentence(console, answer, sentence):
    console.answer = answer
    status, out, err = console.run("publish", "c", "1")
    assert (status, out) == (1, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_a_message_that_is_no_json_is_not_sent(console):
    status, _, err = console.run("publish", "c", "{t: 1}")
    assert status == 1
    assert "is no JSON" in err
    assert console.requests == []


def test_an_address_of_another_kind_is_not_opened(console):
    assert "must begin with http" in console.run("publish", "c", "1", "--url", "file:///etc")[2]
    assert console.requests == []


# payments

REPORT = {
    "start": "2023-11-13T00:00:00Z",
    "end": "2023-11-14T00:00:00Z",
    "is_clean": True,
    "findings": [],
    "text": "No difference.\n",
}


def told(**changes):
    return 200, json.dumps({**REPORT, **changes}).encode()


def test_the_books_are_reconciled_from_yesterday_until_now(console, file):
    console.answer = told()
    assert console.run("payments", "reconcile", "--config", file('[http_api]\nkey = "k"')) == (
        0,
        "No difference.\n",
        "",
    )
    (request,) = console.requests
    assert request.full_url == "http://127.0.0.1:8000/api/payments/reconcile"
    assert request.get_header("X-api-key") == "k"
    assert json.loads(request.data) == {"start": 1_699_833_600_000, "end": NOW * 1000}
    assert console.seconds == 600


def test_days_of_a_report_are_those_of_utc_and_the_last_one_is_left_out(console):
    console.answer = told()
    assert console.run("payments", "reconcile", "--from", "2026-11-01", "--to", "2026-11-02")[0] == 0
    assert json.loads(console.requests[0].data) == {"start": 1_793_491_200_000, "end": 1_793_577_600_000}


def test_a_report_as_json_is_without_the_text_for_people(console):
    console.answer = told()
    out = console.run("payments", "reconcile", "--json")[1]
    assert json.loads(out) == {name: value for name, value in REPORT.items() if name != "text"}


def test_a_difference_is_printed_and_ends_with_1(console):
    console.answer = told(is_clean=False, text="Differences: 1 missing here\n")
    status, out, err = console.run("payments", "reconcile")
    assert (status, out) == (1, "Differences: 1 missing here\n")
    assert "look at the report" in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--from", "yesterday"), "--from: write a day as in 2026-11-22"),
        (("--to", "2026-13-01"), "--to: write a day"),
        (("--from", "2026-11-02", "--to", "2026-11-02"), "--to must be later than --from"),
    ],
)
def test_days_that_are_none_are_not_sent(console, arguments, sentence):
    status, out, err = console.run("payments", "reconcile", *arguments)
    assert (status, out, console.requests) == (1, "", [])
    assert sentence in err


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((401, b'{"detail":"The API key is missing"}'), "does not take the API key"),
        ((404, b'{"detail":"Not Found"}'), "switch them on (payments.enabled)"),
        ((422, b'{"detail":[{"msg":"at most 93 days apart"}]}'), "the server refused: at most 93 days apart"),
        ((409, b'{"detail":[{"msg":"A report is being made"}]}'), "A report is being made"),
        ((200, b"{}"), "answers 200, and no report"),
        ((500, b"<html>"), "answers 500"),
        (ConnectionRefusedError(111, "Connection refused"), "is the server running"),
    ],
)
def test_every_failure_of_a_report_is_one_sentence(console, answer, sentence):
    console.answer = answer
    status, out, err = console.run("payments", "reconcile")
    assert (status, out) == (1, "")
    assert sentence in err
    assert err.count("\n") == 1
