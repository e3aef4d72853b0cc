"""The page of payments, made from a template that looks like those of accounts."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader, StrictUndefined, TemplateError

from rtserver.web.accounts.sentences import NOTICES
from rtserver.web.accounts.templates import COMMON, FILTERS, BrokenTemplate

PAGE = "payment.html"

OWN = {
    "payments.css": "text/css; charset=utf-8",
    **dict.fromkeys(
        ("pay.js", "api.js", "live.js", "card.js", "lists.js", "staff.js"), "text/javascript; charset=utf-8"
    ),
}
"""Files of ``web/pages/payments`` and their media types."""

DROPIN = {"dropin.js": "text/javascript; charset=utf-8", "dropin.css": "text/css; charset=utf-8"}
"""Braintree's card form, which ``scripts/fetch-assets`` fetches."""


class PaymentPages:
    """Reads and compiles everything once. ``own_folder`` may hold a ``payment.html`` and a ``base.html`` that stand for ours;
    ``site`` is the name at the top; ``vendor``: where ``scripts/fetch-assets`` put its files. Raises ``BrokenTemplate``."""

    def __init__(self, own_folder: str = "", site: str = "rtserver", vendor: Traversable | None = None) -> None:
        package = files("rtserver.web.pages")
        ours = FileSystemLoader([str(package / "payments"), str(package / "accounts")])
        own = [FileSystemLoader(own_folder)] if own_folder else []
        self._environment = Environment(
            loader=ChoiceLoader([*own, ours, PrefixLoader({"ours": ours})]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters.update(FILTERS)
        self._environment.globals.update(site=site, notices=NOTICES)
        try:
            self._page = self._environment.get_template(PAGE)
        except (TemplateError, UnicodeDecodeError) as error:
            raise _broken(error) from error
        self._static = {name: ((package / "payments" / name).read_bytes(), kind) for name, kind in OWN.items()}
        vendor = vendor or package / "vendor"
        found = [name for name in DROPIN if (vendor / f"{name}.gz").is_file()]
        self._packed = {name: ((vendor / f"{name}.gz").read_bytes(), DROPIN[name]) for name in found}

    @property
    def has_card_form(self) -> bool:
        return len(self._packed) == len(DROPIN)

    @property
    def static(self) -> Mapping[str, tuple[bytes, str]]:
        """The bytes of each file and their media type."""
        return self._static

    @property
    def packed(self) -> Mapping[str, tuple[bytes, str]]:
        """Files that are kept compressed with gzip."""
        return self._packed

    def render(self, **values: Any) -> bytes:
        """Raises ``BrokenTemplate`` when the template uses what it is not given."""
        try:
            return self._page.render({**COMMON, **values}).encode()
        except TemplateError as error:
            raise _broken(error) from error


def _broken(error: Exception) -> BrokenTemplate:
    line = getattr(error, "lineno", None)
    where = f"{getattr(error, 'filename', None) or PAGE}{f', line {line}' if line else ''}"
    return BrokenTemplate(
        f"the template {where}: {error}: mend it, or take the file away to get the page of the server"
    )
