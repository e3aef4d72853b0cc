"""rtserver: a standalone realtime server on Twisted."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rtserver.app import App as App

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``from rtserver import App`` and its siblings, without loading them for whoever wants something else."""
    if name[:1].isupper() or name == "wait":
        return getattr(import_module("rtserver.app"), name)
    raise AttributeError(f"module 'rtserver' has no attribute {name!r}")
