"""The pages of accounts: what every one of them keeps to, and what stands in some."""

import re
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from rtserver.accounts.records import Account, Identity, ProofState, Purpose
from rtserver.web.accounts.sentences import ERRORS, NOTICES
from rtserver.web.accounts.templates import PAGES, STATIC, AccountPages, BrokenTemplate, browser, iso, moment, pieces
from tests.web.accounts.samples import ANNA, CASES, DEVICES, GITHUB, SAMPLES, WAITING, proof, values

OURS = AccountPages()

ATTACK = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


class Page(HTMLParser):
    """A page as a list of (tag, attributes), each with the text directly in it."""

    def __init__(self, content):
        super().__init__()
        self.text = content.decode()
        self.tags = []
        self.forms = []
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag == "form":
            self.forms.append((found, []))
        elif tag == "input" and self.forms:
            self.forms[-1][1].append(found)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    def names(self):
        return [tag for tag, _ in self.tags]

    def one(self, **wanted):
        """The attributes of the only tag that has all of these."""
        (found,) = [attrs for _, attrs in self.tags if wanted.items() <= attrs.items()]
        return found

    def fields(self, action):
        """The names that the form sends."""
        (found,) = [inputs for form, inputs in self.forms if form["action"] == action]
        return {each["name"] for each in found if "name" in each}


def page(name, case=None, **more):
    return Page(OURS.render(name, **{**values(name, case or next(iter(SAMPLES[name]))), **more}))


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case))
def any_page(request):
    return page(*request.param)


def test_there_are_samples_of_every_page():
    assert set(SAMPLES) == set(PAGES)


def test_nothing_in_a_page_runs_or_styles_but_files(any_page):
    assert "<style" not in any_page.text
    for tag, attrs in any_page.tags:
        assert not {name for name in attrs if name == "style" or name.startswith("on")}, tag
    for script in any_page.all("script"):
        assert script["src"].removeprefix("/auth/static/") in STATIC
    assert "javascript:" not in any_page.text


def test_every_file_that_a_page_names_is_there(any_page):
    named = [attrs["href"] for attrs in any_page.all("link")] + [attrs["src"] for attrs in any_page.all("img")]
    for each in named:
        assert each.removeprefix("/auth/static/") in STATIC


def test_every_form_is_a_post_with_the_token_of_the_session(any_page):
    for form, inputs in any_page.forms:
        assert form["method"] == "post"
        assert form["action"].startswith("/auth/")
        if form["action"].startswith("/auth/complete/"):
            continue  # the state of the provider guards it
        assert [each["value"] for each in inputs if each.get("name") == "csrf"] == ["the-csrf-token"]


def test_every_input_has_a_label_of_its_own(any_page):
    ids = [attrs["id"] for _, attrs in any_page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    labels = {attrs["for"] for attrs in any_page.all("label")}
    for attrs in any_page.all("input"):
        assert attrs.get("type") == "hidden" or "hidden" in attrs or attrs["id"] in labels
        for each in attrs.get("aria-describedby", "").split():
            assert each in ids


def test_every_page_has_one_main_heading_a_language_and_a_title(any_page):
    assert len(any_page.all("h1")) == 1
    assert any_page.all("html") == [{"lang": "en"}]
    assert re.search(r"<title>.+ – rtserver</title>", any_page.text)


def test_pages_with_forms_let_the_browser_tell_where_they_came_from(any_page):
    assert any_page.one(name="referrer")["content"] == "same-origin"


@pytest.mark.parametrize("name, case", [case for case in CASES if "mistakes" in values(*case)])
def test_a_mistake_stands_beside_its_field_and_is_announced(name, case):
    found = page(name, case)
    assert "<title>Please check: " in found.text
    for field, sentence in values(name, case)["mistakes"].items():
        assert found.text.count(sentence) == 1
        if field == "":
            assert re.search(rf'<p class="trouble" role="alert">{re.escape(sentence)}</p>', found.text)
            continue
        (wrong,) = [attrs for attrs in found.all("input") if attrs.get("name") == field]
        assert wrong["aria-invalid"] == "true"
        assert re.search(rf'id="{wrong["aria-describedby"].split()[0]}">{re.escape(sentence)}<', found.text)


@pytest.mark.parametrize("name, case", CASES)
def test_the_focus_goes_to_one_field_at_most_and_to_the_first_mistake(name, case):
    focused = [attrs for attrs in page(name, case).all("input") if "autofocus" in attrs]
    assert len(focused) <= 1
    first = next(iter(values(name, case).get("mistakes", {})), "")
    if first:
        assert [attrs["name"] for attrs in focused] == [first]


@pytest.mark.parametrize(
    "name, field, wanted",
    [
        ("sign_in", "name", {"autocomplete": "username"}),
        ("sign_in", "password", {"autocomplete": "current-password", "type": "password"}),
        ("sign_up", "email", {"autocomplete": "email", "type": "email"}),
        ("sign_up", "username", {"autocomplete": "username"}),
        ("sign_up", "password", {"autocomplete": "new-password", "type": "password"}),
        ("new_password", "password", {"autocomplete": "new-password"}),
        ("mail", "digits", {"autocomplete": "one-time-code", "inputmode": "numeric"}),
        ("profile", "current", {"autocomplete": "current-password"}),
        ("profile", "new", {"autocomplete": "new-password"}),
        ("profile", "password", {"autocomplete": "current-password"}),
    ],
)
def test_password_programs_know_each_field(name, field, wanted):
    assert wanted.items() <= page(name).one(name=field).items()


def test_passwords_are_never_written_back():
    for name, field in (
        ("sign_in", "password"),
        ("sign_up", "password"),
        ("new_password", "password"),
        ("profile", "new"),
    ):
        assert "value" not in page(name, values={field: "secret words"}).one(name=field)


def test_what_was_typed_is_there_again():
    found = page("sign_up", values={"email": "a@b.example", "username": "<a>"})
    assert found.one(name="email")["value"] == "a@b.example"
    assert found.one(name="username")["value"] == "<a>"


def test_what_a_form_sends():
    assert page("sign_in").fields("/auth/sign-in") == {"csrf", "next", "name", "password"}
    assert page("sign_up").fields("/auth/sign-up") == {"csrf", "email", "username", "password"}
    assert page("address").fields("/auth/address") == {"csrf", "token", "email"}
    assert page("mail").fields("/auth/proofs/p1/code") == {"csrf", "next", "digits"}
    assert page("new_password").fields("/auth/c/signed") == {"csrf", "password"}
    assert page("profile").fields("/auth/password") == {"csrf", "current", "new"}
    assert page("profile", "small").fields("/auth/password") == {"csrf", "new"}
    assert page("profile").fields("/auth/change-address") == {"csrf", "email", "password"}
    assert page("profile", "small").fields("/auth/change-address") == {"csrf", "email"}


def test_what_a_provider_said_is_sent_once_more_as_it_was():
    found = page("onward", fields={"state": "s 1", "user": '{"name": "<Ä&"}'})
    ((form, inputs),) = found.forms
    assert form == {"method": "post", "action": "/auth/complete/house", "id": "onward"}
    assert [(each["type"], each["name"], each["value"]) for each in inputs] == [
        ("hidden", "state", "s 1"),
        ("hidden", "user", '{"name": "<Ä&"}'),
    ]


def test_next_goes_along_every_way_to_sign_in():
    found = page("sign_in", providers=[GITHUB], next="/shop?a=1&b=2")
    sent = [each["value"] for _, inputs in found.forms for each in inputs if each.get("name") == "next"]
    assert sent == ["/shop?a=1&b=2"] * 2
    assert found.one(href="/auth/sign-up?next=/shop%3Fa%3D1%26b%3D2")


@pytest.mark.parametrize(
    "name, more",
    [
        ("sign_in", {"values": {"name": ATTACK}, "next": ATTACK, "mistakes": {"": ATTACK}}),
        ("sign_in", {"providers": [SimpleNamespace(name=ATTACK, title=ATTACK)], "notice": ATTACK}),
        ("address", {"handle": ATTACK, "provider": ATTACK, "token": ATTACK}),
        ("mail", {"proof": proof(email=ATTACK), "token": ATTACK, "websocket": ATTACK, "next": ATTACK}),
        ("confirm", {"proof": proof(Purpose.PROVIDER), "handle": ATTACK, "existing": ATTACK, "provider": ATTACK}),
        ("confirm", {"username": ATTACK}),
        ("confirmed", {"email": ATTACK}),
        ("new_password", {"username": ATTACK}),
        ("onward", {"provider": ATTACK, "action": ATTACK, "fields": {ATTACK: ATTACK, "state": ATTACK}}),
        ("profile", {"account": Account("u", ATTACK, ATTACK, True, True, False, 0)}),
        ("profile", {"identities": [Identity(ATTACK, "u", ATTACK, "", "1", ATTACK, {})], "titles": {ATTACK: ATTACK}}),
        ("profile", {"sessions": [SimpleNamespace(id=ATTACK, agent=ATTACK, remote=ATTACK, seen_at=0)]}),
        ("error", {"code": ATTACK, "sentence": ATTACK, "request_id": ATTACK}),
        ("letters", {"letters": [SimpleNamespace(id=ATTACK, subject=ATTACK, to=ATTACK, sent_at=0)]}),
        (
            "letter",
            {"letter": SimpleNamespace(subject=ATTACK, to=ATTACK, sent_at=0, text=f"{ATTACK} https://a/{ATTACK}")},
        ),
    ],
)
def test_what_strangers_write_stays_text(name, more):
    found = page(name, **more)
    assert "<script>" not in found.text
    assert not any("onerror" in attrs for attrs in found.all("img"))
    assert found.names() == page(name, **harmless(more)).names()


def harmless(value):
    """The same values without the signs that would end a tag."""
    if isinstance(value, str):
        return value.replace(ATTACK, "x" * len(ATTACK))
    if isinstance(value, dict):
        return {harmless(key): harmless(each) for key, each in value.items()}
    if isinstance(value, list):
        return [harmless(each) for each in value]
    if isinstance(value, SimpleNamespace):
        return SimpleNamespace(**harmless(vars(value)))
    return value


def test_a_long_foreign_name_is_cut_and_cannot_turn_the_line_around():
    found = page("confirm", "provider", handle="\u202e" + "m" * 500)
    name = re.search(r'<bdi class="name">(.*?)</bdi>', found.text)[1]
    assert len(name) <= 60


# Single pages


def test_the_page_that_waits_says_nothing_of_what_the_letter_is_for():
    texts = {page("mail", "waiting", proof=proof(purpose)).text for purpose in Purpose}
    assert len(texts) == 1


def test_the_page_that_waits_gives_its_script_what_it_needs():
    found = page("mail").one(id="state")
    assert found["data-proof"] == "p1"
    assert (found["data-token"], found["data-websocket"], found["data-next"]) == (
        WAITING["token"],
        WAITING["websocket"],
        "/shop",
    )
    assert found["role"] == "status"


def test_the_page_that_waits_goes_on_without_javascript_unless_somebody_types():
    refresh = '<noscript><meta http-equiv="refresh" content="10; url=/auth/mail?proof=p1"></noscript>'
    assert refresh in page("mail", "waiting").text
    for case in ("quiet", "wrong", "confirmed", "expired", "redeemed"):
        assert "refresh" not in page("mail", case).text


@pytest.mark.parametrize("state", list(ProofState))
def test_only_a_letter_that_waits_runs_the_script(state):
    has_script = "mail.js" in page("mail", "confirmed", state=state).text
    assert has_script == (state is ProofState.WAITING)


def test_who_is_let_into_an_account_is_named_with_the_account():
    text = re.sub(r"<[^>]+>", "", page("confirm", "joins").text)
    assert "Whoever uses the GitHub account mallory will be able to sign in to your account anna" in text


def test_somebody_who_must_sign_in_first_cannot_press_the_button():
    found = page("confirm", "sign_in_first")
    assert found.forms == []
    assert found.one(href="/auth/sign-in?next=/auth/c/signed")


def test_the_other_window_is_told_of_and_a_lost_one_has_a_button():
    assert [form["action"] for form, _ in page("confirmed").forms] == ["/auth/c/signed/continue"]
    assert page("confirmed", "done").forms == []


def test_the_last_way_to_sign_in_has_no_button_to_remove_it():
    assert "/auth/identities/i1/remove" in page("profile").text
    assert "/remove" not in page("profile", "small").text


def test_one_cannot_end_the_session_one_looks_from():
    ends = [form["action"] for form, _ in page("profile").forms if "/sessions/" in form["action"]]
    assert ends == ["/auth/sessions/s2/end", "/auth/sessions/s3/end"]


def test_ids_in_addresses_are_quoted():
    odd = [SimpleNamespace(id="a/../b?c", agent="", remote="", seen_at=0)]
    assert page("profile", sessions=odd).one(action="/auth/sessions/a/../b%3Fc/end")


def test_an_error_has_its_sentence_and_what_to_do():
    assert "you pressed cancel" in page("error", "known").text
    assert "try again in 4 minutes" in page("error", "own").text
    assert "8f14e45f" in page("error", "unknown").text
    for trouble in ERRORS.values():
        assert trouble.href.startswith("/auth/")
        assert trouble.sentence.endswith(".")


def test_a_notice_is_one_of_ours():
    assert NOTICES["linked"] in page("profile").text
    assert 'class="notice"' not in page("profile", notice="you won a prize").text


def test_links_in_letters_can_be_clicked():
    (link,) = [each["href"] for each in page("letter").all("a") if each["href"].startswith("http")]
    assert link == "https://example.org/auth/c/Zk3v0mC1Qm2r9m8Yv0aQxw.SnRk-6Lwq7kq3mMT8sI6uZkq4YQ?a=1&b=2"


# Filters


@pytest.mark.parametrize(
    "agent, wanted",
    [
        (DEVICES[0].agent, "Firefox on Linux"),
        (DEVICES[1].agent, "Safari on iPhone"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537 Chrome/140 Safari/537 Edg/140", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537 Chrome/140 Mobile Safari/537", "Chrome on Android"),
        ("curl/8.5", "curl/8.5"),
        ("x" * 90, "x" * 40),
        ("", "Unknown browser"),
    ],
)
def test_a_browser_in_three_words(agent, wanted):
    assert browser(agent) == wanted


def test_times_are_readable_for_people_and_programs():
    assert (moment(1_795_357_037_123), iso(1_795_357_037_123)) == ("22 Nov 2026, 14:17 UTC", "2026-11-22T14:17:17Z")


def test_addresses_are_found_in_a_text():
    assert pieces("see http://a/b?c=1&d=2 <https://e>") == [
        (False, "see "),
        (True, "http://a/b?c=1&d=2"),
        (False, " <"),
        (True, "https://e"),
        (False, ">"),
    ]
    assert pieces("javascript:alert(1)") == [(False, "javascript:alert(1)")]


# Folders of applications


def test_own_files_stand_for_ours_by_name(tmp_path):
    (tmp_path / "forgotten.html").write_text("own {{ csrf }} {{ '<' }}")
    (tmp_path / "accounts.css").write_text("own")
    pages = AccountPages(str(tmp_path))
    assert pages.render("forgotten", csrf="c") == b"own c &lt;"
    assert pages.static("accounts.css") == (b"own", "text/css; charset=utf-8")
    assert pages.static("mail.js") == OURS.static("mail.js")
    assert pages.render("sign_up") == OURS.render("sign_up")


def test_an_own_page_may_change_part_of_ours(tmp_path):
    (tmp_path / "sign_in.html").write_text('{% extends "ours/sign_in.html" %}{% block title %}Welcome{% endblock %}')
    found = AccountPages(str(tmp_path), "Shop").render("sign_in").decode()
    assert "<title>Welcome – Shop</title>" in found
    assert 'action="/auth/sign-in"' in found


@pytest.mark.parametrize("name", ["sign_in.html", "mine.html"])
def test_a_broken_own_template_is_told_at_start(tmp_path, name):
    (tmp_path / name).write_text("\n{% if %}")
    with pytest.raises(BrokenTemplate, match=rf"{name}, line 2: .*: mend it, or take the file away"):
        AccountPages(str(tmp_path))


def test_an_own_template_that_is_no_text_is_told_at_start(tmp_path):
    (tmp_path / "sign_in.html").write_bytes(b"\xff\xfe")
    with pytest.raises(BrokenTemplate, match="sign_in.html: .*mend it"):
        AccountPages(str(tmp_path))


def test_a_template_that_wants_what_it_is_not_given_is_told_when_it_is_used(tmp_path):
    (tmp_path / "forgotten.html").write_text("{{ nothing.like.this }}")
    pages = AccountPages(str(tmp_path))
    with pytest.raises(BrokenTemplate, match="forgotten.html: 'nothing' is undefined: mend it"):
        pages.render("forgotten")


def test_a_folder_that_is_not_there_is_told_at_start(tmp_path):
    with pytest.raises(BrokenTemplate, match="is no folder: make it, or leave the setting out"):
        AccountPages(str(tmp_path / "away"))


def test_letters_in_a_folder_of_their_own_are_none_of_its_business(tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "reset.html").write_text("{% for other %}")
    AccountPages(str(tmp_path))


@pytest.mark.parametrize("name", ["../templates.py", "sign_in.html", ""])
def test_only_files_of_the_list_are_given_out(name):
    with pytest.raises(KeyError):
        OURS.static(name)


def test_the_sample_account_is_on_its_page():
    assert ANNA.email in page("profile").text
