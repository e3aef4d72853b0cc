"""The library of Redis functions, made for one prefix so that several deployments can share a Redis."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files

from rtserver.core.messages import MAX_NESTING

DEFAULT_PREFIX = "rtserver"
PUBLIC_NAME = "rt_publish"


@dataclass(frozen=True, slots=True)
class Library:
    """``name`` begins the names of the inner functions, ``public`` is the one that other programs call."""

    name: str
    public: str
    version: str
    source: str

    def function(self, name: str) -> str:
        return f"{self.name}_{name}"


def build_library(prefix: str) -> Library:
    """The library for the deployment whose keys begin with ``prefix``."""
    name = _safe(prefix)
    public = PUBLIC_NAME if prefix == DEFAULT_PREFIX else f"{PUBLIC_NAME}_{name}"
    source = files("rtserver.services").joinpath("redis_functions.lua").read_text("utf-8")
    for mark, value in {"NAME": name, "PUBLIC": public, "PREFIX": _quoted(prefix), "NESTING": str(MAX_NESTING)}.items():
        source = source.replace(f"@{mark}@", value)
    version = sha1(source.encode(), usedforsecurity=False).hexdigest()
    return Library(name, public, version, source.replace("@VERSION@", version))


def _safe(prefix: str) -> str:
    """Function names are letters, digits and "_". A prefix that has others gets a digest, so that two stay two."""
    safe = re.sub(r"[^A-Za-z0-9_]", "_", prefix)
    return safe if safe == prefix else f"{safe}_{sha1(prefix.encode(), usedforsecurity=False).hexdigest()[:6]}"


def _quoted(text: str) -> str:
    """The inside of a Lua string literal, by decimal escapes."""
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"\\{byte:03d}" for byte in text.encode())
