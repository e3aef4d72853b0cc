"""The pages of accounts, made from templates. An application's folder replaces any of them by file name.

Every page gets these; what is left out is empty:

=============  =====================================================================================================
``csrf``       the token of the session, for the field ``csrf`` of its forms
``account``    None, or who is signed in (``.username``, ``.email``; ``profile`` needs all of ``records.Account``)
``providers``  the ways to sign in, each with ``.name`` and ``.title``
``mistakes``   {field, or "" for the whole form: a sentence}
``values``     {field: what was typed}; never a password
``next``       where to go afterwards, "" for the usual place
``notice``     a key of ``sentences.NOTICES``: a line of good news above the page ("" or an unknown key: none)
=============  =====================================================================================================

What each page needs beside them, what its forms send (always with ``csrf``), and where to. ``?`` marks what may be left out:

================  ==================================================  ==================================================
page              values                                              forms
================  ==================================================  ==================================================
``sign_in``       passwords?: bool, sign_up?: bool (both True)        /auth/sign-in: name, password, next
                                                                      /auth/login/{provider}: next
``sign_up``       passwords?: bool                                    /auth/sign-up: email, username, password, next
                                                                      /auth/login/{provider}: next
``forgotten``                                                         /auth/forgotten: email
``address``       token; provider (its title), handle?                /auth/address: token, email
``mail``          proof (``.id .email``), state (``ProofState``),     /auth/proofs/{id}/code: digits
                  token?: a connection token with the channel         /auth/proofs/{id}/resend
                  ``rt_auth:{id}``, websocket?: its path,             /auth/proofs/{id}/continue
                  quiet?: bool (the page does not load itself anew)
``confirm``       action (where its form goes), proof (``.purpose     action
                  .email``), provider?, handle? (who will be let in,
                  of PROVIDER), existing?: the username of the
                  account that is there already, username?: of the
                  one to be made, needs_sign_in?: bool, here?: path
                  of this page, to come back to
``confirmed``     email, action?: where "sign in here" goes           action
``new_password``  action, username                                    action: password
``profile``       identities: ``records.Identity``..., titles:        /auth/change-address: email, password
                  {provider: title}, sessions: ``records.Session``    /auth/password: current, new
                  ..., session: id of this one, can_unlink: bool,     /auth/identities/{id}/remove
                  linkable: providers that are not linked yet,        /auth/link/{provider}
                  passwords?: bool                                    /auth/sessions/{id}/end
                                                                      /auth/sign-out, /auth/sign-out-everywhere
``onward``        provider (its title), action, fields: {name:        action: all of ``fields``, without ``csrf``
                  value}, what a provider's form said
``error``         code, sentence?: instead of the one for the code,
                  request_id?
``letters``       letters: ``.id .to .subject .sent_at`` (ms)
``letter``        letter: ``.to .subject .sent_at .text``
================  ==================================================  ==================================================

``mail`` never says what a letter is for before it was confirmed: nobody may learn here whether an account exists. Its form
"continue" is answered with 303 to where the confirmation leads: signed in to ``next`` (SIGN_UP, PROVIDER), the sign-in page
with ``notice=password_changed`` (RESET), the profile with ``notice=address_changed`` (ADDRESS); with ``mail`` and a mistake
at "" while nothing is confirmed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader, StrictUndefined, TemplateError

from rtserver.core.errors import RtError
from rtserver.web.accounts.sentences import ERRORS, NOTICES, UNKNOWN

PAGES = (
    *("sign_in", "sign_up", "forgotten", "address", "mail", "confirm", "confirmed", "new_password"),
    *("onward", "profile", "error", "letters", "letter"),
)

STATIC = {
    "accounts.css": ("accounts/accounts.css", "text/css; charset=utf-8"),
    "mail.js": ("accounts/mail.js", "text/javascript; charset=utf-8"),
    "times.js": ("accounts/times.js", "text/javascript; charset=utf-8"),
    "onward.js": ("accounts/onward.js", "text/javascript; charset=utf-8"),
    "rt.js": ("rt.js", "text/javascript; charset=utf-8"),
    "favicon.svg": ("favicon.svg", "image/svg+xml"),
}
"""Name below /auth/static/ to file of ``web/pages`` and media type."""

COMMON: Mapping[str, Any] = {
    "csrf": "",
    "account": None,
    "providers": (),
    "mistakes": {},
    "values": {},
    "next": "",
    "notice": "",
}


class BrokenTemplate(RtError):
    """A template that cannot be read; the message says which, where and why."""


class AccountPages:
    """Reads and compiles every template once. ``own_folder`` may hold files named like ours (``sign_in.html``, ``base.html``,
    ``accounts.css``...) that stand for them, and others for these to include; they reach ours as ``ours/sign_in.html``.
    ``site`` is the name at the top. Raises ``BrokenTemplate``."""

    def __init__(self, own_folder: str = "", site: str = "rtserver") -> None:
        package = files("rtserver.web.pages")
        if own_folder and not Path(own_folder).is_dir():
            raise BrokenTemplate(f"accounts.templates: {own_folder} is no folder: make it, or leave the setting out")
        own = [own_folder] if own_folder else []
        ours = FileSystemLoader(str(package / "accounts"))
        loader = ChoiceLoader([FileSystemLoader(own), ours, PrefixLoader({"ours": ours})])
        self._environment = Environment(
            loader=loader,
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters.update(FILTERS)
        self._environment.globals.update(site=site, errors=ERRORS, unknown_error=UNKNOWN, notices=NOTICES)
        self._compile()
        self._pages = {name: self._environment.get_template(f"{name}.html") for name in PAGES}
        self._static = {name: (_read(own, name, package / file), kind) for name, (file, kind) in STATIC.items()}

    def _compile(self) -> None:
        for name in self._environment.list_templates(extensions=["html"]):
            if "/" in name:  # letters, which are read elsewhere
                continue
            try:
                self._environment.get_template(name)
            except (TemplateError, UnicodeDecodeError) as error:
                raise BrokenTemplate(_told(name, error)) from error

    def render(self, name: str, **values: Any) -> bytes:
        """The page ``name`` of ``PAGES``. Raises ``BrokenTemplate`` when it uses what it is not given."""
        try:
            return self._pages[name].render({**COMMON, **values}).encode()
        except TemplateError as error:
            raise BrokenTemplate(_told(f"{name}.html", error)) from error

    def static(self, name: str) -> tuple[bytes, str]:
        """The bytes of a file of ``STATIC`` and their media type. Raises KeyError for any other name."""
        return self._static[name]


def _read(own: list[str], name: str, ours: Any) -> bytes:
    for folder in own:
        if (Path(folder) / name).is_file():
            return (Path(folder) / name).read_bytes()
    content: bytes = ours.read_bytes()
    return content


def _told(name: str, error: Exception) -> str:
    place = getattr(error, "filename", None) or name
    line = getattr(error, "lineno", None)
    where = f"{place}, line {line}" if line else place
    return f"the template {where}: {error}: mend it, or take the file away to get the page of the server"


def moment(ms: int) -> str:
    """Milliseconds since 1970 as a person reads them."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%-d %b %Y, %H:%M UTC")


def day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%-d %b %Y")


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).isoformat().replace("+00:00", "Z")


BROWSERS = {
    "edg": "Edge",
    "opr": "Opera",
    "samsungbrowser": "Samsung Internet",
    "firefox": "Firefox",
    "fxios": "Firefox",
    "chrom": "Chrome",
    "crios": "Chrome",
    "safari": "Safari",
}
"""Part of a User-Agent to browser. The order matters: they all claim to be those that follow."""

SYSTEMS = {
    "iphone": "iPhone",
    "ipad": "iPad",
    "android": "Android",
    "windows": "Windows",
    "mac os": "Mac",
    "cros": "ChromeOS",
    "linux": "Linux",
}


def browser(agent: str) -> str:
    """What a User-Agent header says, in three words; its beginning when it says nothing known."""
    small = agent.lower()
    name, system = _first(BROWSERS, small), _first(SYSTEMS, small)
    if name and system:
        return f"{name} on {system}"
    return name or system or agent[:40] or "Unknown browser"


def _first(table: Mapping[str, str], text: str) -> str:
    return next((name for part, name in table.items() if part in text), "")


_LINK = re.compile(r"(https?://[^\s<>\"]+)")


def pieces(text: str) -> list[tuple[bool, str]]:
    """A text in parts, each with whether it is an address to click on."""
    return [(n % 2 == 1, part) for n, part in enumerate(_LINK.split(text)) if part]


FILTERS = {"moment": moment, "day": day, "iso": iso, "browser": browser, "pieces": pieces}
