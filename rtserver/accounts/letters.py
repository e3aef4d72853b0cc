"""Letters from templates: for each kind a text and an HTML part, with the subject in the first line of the text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import jinja2

from rtserver.accounts.ports import LETTERS
from rtserver.core.errors import RtError

TEMPLATES = Path(__file__).parent / "letter_templates"
FOLDER = "letters"
"""The folder in ``accounts.templates`` whose files replace ours by their names."""

WITH_LINK = frozenset(("confirm_sign_up", "confirm_provider", "confirm_address", "reset"))
"""Kinds that are of no use without a link."""

VALUES = ("link", "digits", "minutes", "provider", "handle", "username")
FOREIGN = ("provider", "handle", "username")
"""Values that a stranger may have chosen."""
MAX_NAME = 64
"""Characters of such a value that are shown."""
MAX_SUBJECT = 150

_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\s]+")
_LINKED = re.compile(r"[.:/@](?=\S)")
_SPANS = ((1440, 60, "day", 2), (60, 5, "hour", 2), (1, 0, "minute", 1))
"""Minutes of each unit, how many may be missing to the next whole one, its name, and from how many on it is used."""


class LetterError(RtError):
    """A letter cannot be written; the sentence names the template or value to change, and never a value of a person."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What is said to whom. ``to`` is one address."""

    kind: str
    to: str = field(repr=False)
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)


def inert(name: str) -> str:
    """A name that a stranger chose, fit for a letter: on one line, short, and nothing that a mail program makes a link of.

    The signs that make an address of a word are followed by a space of no width. Directions of writing are taken out, since
    they could turn the rest of the line around.
    """
    line = _HIDDEN.sub(" ", name.encode("utf-8", "replace").decode()).strip()
    short = line if len(line) <= MAX_NAME else line[: MAX_NAME - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return _LINKED.sub("\\g<0>\u200b", short)


def span(minutes: object) -> str:
    """A length of time as people say it: 15 gives "15 minutes", 1439 "24 hours", since a moment of it is over already."""
    number = int(str(minutes))
    for length, slack, word, least in _SPANS:
        count = (number + slack) // length
        if count >= least:
            return f"{count} {word}" if count == 1 else f"{count} {word}s"
    return "less than a minute"


class LetterWriter:
    """Writes letters of ``ports.LETTERS``. ``own_templates`` is ``accounts.templates``, "" for none. Raises ``LetterError``
    when it is made with a template that cannot be used."""

    def __init__(self, site: str, own_templates: str = "") -> None:
        own = [jinja2.FileSystemLoader(Path(own_templates) / FOLDER)] if own_templates else []
        self._site = site
        self._templates = jinja2.Environment(
            loader=jinja2.ChoiceLoader([*own, jinja2.FileSystemLoader(TEMPLATES)]),
            autoescape=jinja2.select_autoescape(("html",), default_for_string=False),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters["span"] = span
        self._check()

    def _check(self) -> None:
        """Write one letter of every kind: a template that cannot be used is told at the start, not to a person."""
        sample = dict(link="https://example.org/", digits="123456", minutes=60, provider="P", handle="h", username="u")
        for kind in LETTERS:
            self.write(kind, "somebody@example.org", sample)
            self.write(kind, "somebody@example.org", {"link": "https://example.org/"})

    def write(self, kind: str, to: str, values: Mapping[str, object]) -> Letter:
        """``values`` are those of ``Post.enqueue``; what is not given is empty. Raises ``LetterError``."""
        if kind not in LETTERS:
            raise LetterError(f"{kind!r} is no kind of letter: use one of {', '.join(LETTERS)}")
        unknown = sorted(set(values) - set(VALUES))
        if unknown:
            raise LetterError(f"a letter has no value {', '.join(unknown)}: give some of {', '.join(VALUES)}")
        if kind in WITH_LINK and not values.get("link"):
            raise LetterError(f"a letter {kind!r} is of no use without a link: give the value link")
        shown = self._shown(values)
        subject, text = self._text(kind, shown)
        return Letter(kind, to, subject, text, self._render(f"{kind}.html", {**shown, "subject": subject}))

    def _shown(self, values: Mapping[str, object]) -> dict[str, object]:
        shown: dict[str, object] = {name: values.get(name) or "" for name in VALUES}
        for name in FOREIGN:
            shown[name] = inert(str(shown[name]))
        return {**shown, "site": self._site}

    def _text(self, kind: str, shown: Mapping[str, object]) -> tuple[str, str]:
        first, _, rest = self._render(f"{kind}.txt", shown).partition("\n")
        label, _, subject = first.partition(":")
        subject = " ".join(subject.split())
        if label != "Subject" or not subject or not rest.strip():
            raise LetterError(f"{kind}.txt must begin with a line 'Subject: ...' and have a text below it")
        return subject[:MAX_SUBJECT], re.sub(r"\n{3,}", "\n\n", rest).strip() + "\n"

    def _render(self, name: str, shown: Mapping[str, object]) -> str:
        try:
            return self._templates.get_template(name).render(shown)
        except jinja2.TemplateNotFound as error:
            raise LetterError(f"the template {error.name} of letters is missing: put it into letters/") from error
        except jinja2.TemplateSyntaxError as error:
            where = f"line {error.lineno} of the template {error.name or name}"
            raise LetterError(f"{where} cannot be read ({error.message}): correct it") from error
        except jinja2.UndefinedError as error:
            raise LetterError(f"the template {name}: {error.message}: use only {', '.join(VALUES)} and site") from error
        except Exception as error:  # Whatever a template can do wrong; its text may hold values.
            raise LetterError(f"the template {name} failed ({type(error).__name__}): correct it") from None
