"""Lengths of time as people write them: "300s", "1h30m", "500ms"."""

from __future__ import annotations

import re

from rtserver.core.options import Seconds

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
WHOLE = re.compile(rf"(?:{PART.pattern})+")

EXAMPLES = 'for example "25s", "500ms", "1h30m" or "720h"'


def parse_duration(text: str) -> Seconds:
    """Seconds of a sum of numbers with units (ms, s, m, h, d). Raises ``ValueError`` with a sentence for the writer.

    >>> parse_duration("1h30m")
    5400.0
    """
    written = text.strip()
    if re.fullmatch(r"[-+]?\d+(\.\d+)?", written):
        raise ValueError(f"add a unit (ms, s, m, h or d) to the number, {EXAMPLES}")
    if not WHOLE.fullmatch(written):
        raise ValueError(f"write a length of time as numbers with units, {EXAMPLES}")
    return Seconds(round(sum(float(number) * UNITS[unit] for number, unit in PART.findall(written)), 6))
