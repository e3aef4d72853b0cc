"""The demonstration page and its files, served from the package."""

from __future__ import annotations

from twisted.web.resource import IResource


def demo_pages() -> dict[str, IResource]:
    """Paths to resources."""
    return {}
