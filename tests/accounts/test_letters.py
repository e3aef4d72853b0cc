"""Letters: templates, what of them people can replace, and what strangers can put into them."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from rtserver.accounts.letters import MAX_NAME, TEMPLATES, WITH_LINK, LetterError, LetterWriter, inert, span
from rtserver.accounts.ports import LETTERS

LINK = "https://example.org/auth/c/abcdefghijklmnopqrstuv.abcdefghijklmnopqrstuvwxyzA"
VALUES = {
    "link": LINK,
    "digits": "482913",
    "minutes": 1440,
    "provider": "GitHub",
    "handle": "noe",
    "username": "noe-2",
}
BALANCED = {"table", "tr", "td", "p", "a", "h1", "div", "body", "html", "head", "strong"}


class Page(HTMLParser):
    """The text that people see, the addresses in it, and whether every element is closed where it should be."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen = ""
        self.links: list[str] = []
        self.loaded: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if tag in BALANCED:
            self._open.append(tag)
        if tag == "a":
            self.links.append(known["href"] or "")
        self.loaded += [str(known[name]) for name in ("src", "background", "srcset") if name in known]

    def handle_endtag(self, tag: str) -> None:
        if tag in BALANCED:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.seen += data


@pytest.fixture(scope="module")
def writer() -> LetterWriter:
    return LetterWriter("Lamp & Post")


@pytest.mark.parametrize("kind", LETTERS)
def test_every_kind_has_a_subject_a_complete_text_and_html(writer: LetterWriter, kind: str) -> None:
    letter = writer.write(kind, "noe@example.org", VALUES)
    page = Page(letter.html)
    assert (letter.kind, letter.to) == (kind, "noe@example.org")
    assert "Lamp & Post" in letter.subject
    assert "Subject:" not in letter.text
    assert LINK in letter.text.splitlines()
    assert set(page.links) == {LINK}
    if kind in WITH_LINK:
        assert "482913" in letter.text and "482913" in page.seen
        assert "24 hours" in letter.text and "24 hours" in page.seen
    assert "{" not in letter.text and "None" not in letter.text and "\n\n\n" not in letter.text


@pytest.mark.parametrize("kind", LETTERS)
def test_a_letter_loads_nothing_and_has_its_styles_in_it(writer: LetterWriter, kind: str) -> None:
    html = writer.write(kind, "noe@example.org", VALUES).html
    assert Page(html).loaded == []
    assert "url(" not in html and "@import" not in html and "<script" not in html and "<link" not in html
    assert 'style="' in html


@pytest.mark.parametrize("kind", LETTERS)
def test_what_is_not_known_leaves_no_gap(writer: LetterWriter, kind: str) -> None:
    letter = writer.write(kind, "noe@example.org", {"link": LINK})
    page = Page(letter.html)
    for seen in (letter.text, page.seen):
        assert "digits" not in seen and "None" not in seen and '""' not in seen and " ," not in seen
    assert letter.text.endswith("\n") and not letter.text.startswith("\n")


def test_the_letter_of_a_provider_names_it_with_the_handle_and_the_account(writer: LetterWriter) -> None:
    letter = writer.write("confirm_provider", "noe@example.org", VALUES)
    for seen in (letter.text, Page(letter.html).seen):
        assert "GitHub" in seen and "noe-2" in seen and "sign in to it" in seen
    fresh = writer.write("confirm_provider", "noe@example.org", {**VALUES, "username": ""})
    assert "an account with this address is made" in fresh.text


ATTACKS = [
    "<a href='https://evil.example'>click</a>",
    "https://evil.example/win",
    "evil.example",
    "a@evil.example",
    "name\r\nBcc: everybody@example.org",
    "\u202egnp.exe",
    '"><img src=x onerror=1>',
    "{{ link }}",
    "{% include '/etc/passwd' %}",
    "\ud800 half",
]


@pytest.mark.parametrize("attack", ATTACKS, ids=range(len(ATTACKS)))
@pytest.mark.parametrize("name", ["handle", "username", "provider"])
def test_names_of_strangers_are_no_markup_no_links_and_no_lines(writer: LetterWriter, name: str, attack: str) -> None:
    plain = writer.write("confirm_provider", "noe@example.org", {**VALUES, name: "PLAIN"})
    letter = writer.write("confirm_provider", "noe@example.org", {**VALUES, name: attack})
    page = Page(letter.html)
    assert set(page.links) == {LINK} and page.loaded == []
    assert len(letter.text.splitlines()) == len(plain.text.splitlines())
    assert "\n" not in letter.subject and "\r" not in letter.subject
    for seen in (letter.text.replace(LINK, ""), page.seen.replace(LINK, ""), letter.subject):
        assert "evil.example" not in seen and "://" not in seen and "@evil" not in seen and "\u202e" not in seen
        seen.encode()


def test_a_name_is_cut_and_keeps_its_letters() -> None:
    assert inert("x" * 1000) == "x" * (MAX_NAME - 1) + "…"
    assert inert("  Noë \t  van\u00a0Dam ") == "Noë van Dam"
    assert inert("J. Doe") == "J. Doe"
    assert inert("j.doe").replace("\u200b", "") == "j.doe"


def test_lengths_of_time_are_said_as_people_do() -> None:
    told = {1: "1 minute", 15: "15 minutes", 60: "60 minutes", 90: "90 minutes", 200: "3 hours", 1439: "24 hours"}
    told |= {1440: "24 hours", 2879: "2 days", 2880: "2 days", 10_079: "7 days", 0: "less than a minute"}
    assert {minutes: span(minutes) for minutes in told} == told


def test_a_letter_of_an_unknown_kind_is_refused(writer: LetterWriter) -> None:
    with pytest.raises(LetterError, match="use one of confirm_sign_up"):
        writer.write("spam", "noe@example.org", {})


@pytest.mark.parametrize("kind", sorted(WITH_LINK))
def test_a_letter_that_is_of_no_use_without_a_link_is_refused_without(writer: LetterWriter, kind: str) -> None:
    with pytest.raises(LetterError, match="give the value link"):
        writer.write(kind, "noe@example.org", {"digits": "123456"})


def test_a_value_that_no_letter_has_is_refused(writer: LetterWriter) -> None:
    with pytest.raises(LetterError, match="no value colour"):
        writer.write("reset", "noe@example.org", {"link": LINK, "colour": "red"})


def test_repr_of_a_letter_tells_no_secret(writer: LetterWriter) -> None:
    assert repr(writer.write("reset", "noe@example.org", VALUES)) == (
        "Letter(kind='reset', subject='Choose a new password for Lamp & Post')"
    )


# Templates of one's own


def own(folder: Path, **files: str) -> LetterWriter:
    place = folder / "letters"
    place.mkdir()
    for name, content in files.items():
        (place / name.replace("_dot_", ".")).write_text(content)
    return LetterWriter("Lamp", str(folder))


def test_a_file_of_ones_own_replaces_ours_by_its_name(tmp_path: Path) -> None:
    writer = own(tmp_path, reset_dot_txt="Subject: Nouveau mot de passe\n\nIci : {{ link }}\n")
    letter = writer.write("reset", "noe@example.org", VALUES)
    assert (letter.subject, letter.text) == ("Nouveau mot de passe", f"Ici : {LINK}\n")
    assert "Choose a password" in letter.html
    assert writer.write("confirm_sign_up", "noe@example.org", VALUES).subject.startswith("Confirm")


def test_a_layout_of_ones_own_is_used_by_our_letters(tmp_path: Path) -> None:
    writer = own(tmp_path, letter_layout_dot_html="<h2>{{ site }}</h2>{% block body %}{% endblock %}")
    html = writer.write("reset", "noe@example.org", VALUES).html
    assert html.startswith("<h2>Lamp</h2>") and LINK in html


def test_html_of_ones_own_is_escaped_too(tmp_path: Path) -> None:
    writer = own(tmp_path, reset_dot_html="<p>{{ username }}</p>", reset_dot_txt="Subject: x\n\nTo {{ username }}")
    letter = writer.write("reset", "noe@example.org", {**VALUES, "username": "<b>&"})
    assert (letter.html, letter.text) == ("<p>&lt;b&gt;&amp;</p>", "To <b>&\n")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("Hello", "must begin with a line 'Subject"),
        ("Subject:\n\nHello", "must begin with a line 'Subject"),
        ("Subject: x\n\n", "a text below it"),
        ("Subject: x\n\n{% if %}", r"line 3 of the template reset.txt cannot be read"),
        ("Subject: x\n\n{{ usrname }}", "'usrname' is undefined: use only link"),
        ("Subject: x\n\n{{ link + 1 }}", r"reset.txt failed \(TypeError\): correct it"),
        ("Subject: x\n\n{% include 'foot.txt' %}", "foot.txt of letters is missing"),
    ],
    ids=["no subject", "empty subject", "no text", "syntax", "unknown name", "failure", "missing part"],
)
def test_a_template_that_cannot_be_used_is_told_at_the_start(tmp_path: Path, content: str, sentence: str) -> None:
    with pytest.raises(LetterError, match=sentence):
        own(tmp_path, reset_dot_txt=content)


def test_every_kind_has_two_templates_and_there_are_no_others() -> None:
    kinds = {f"{kind}.{end}" for kind in LETTERS for end in ("txt", "html")}
    assert {path.name for path in TEMPLATES.iterdir()} == kinds | {"letter_layout.html", "letter_parts.html"}
