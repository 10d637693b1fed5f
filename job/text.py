"""Text as people read it: counted, shortened, quoted, and cleaned of what came with it."""

import json
import re
from collections.abc import Sequence

NAMED = 10
"""Targets of a batch that are told by name."""


def listed(targets: Sequence[str]) -> str:
    """Some targets in a line, the first ten of them by name: a batch can have a thousand, a log entry 256 KiB."""
    more = len(targets) - NAMED
    return ", ".join(targets[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


EXCERPT_LIMIT = 200


_TOKEN = re.compile(r"eyJ[\w-]{2,}(\.[\w-]*)*")


_TAG = re.compile(r"<(style|script)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)


def excerpt(data: bytes) -> str:
    """The beginning of a text from outside as it may be shown: a line, without markup, control characters or tokens."""
    text = data[: EXCERPT_LIMIT * 50].decode("utf-8", "replace")
    if text.lstrip().startswith("<"):
        text = _TAG.sub(" ", text)
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    text = _TOKEN.sub("[token]", text)
    return text if len(text) <= EXCERPT_LIMIT else f"{text[: EXCERPT_LIMIT - 1]}…"


def shortened(value: str, limit: int) -> str:
    """The beginning of a long text."""
    return value if len(value) <= limit else f"{value[: limit - 1]}…"


def duration(seconds: float) -> str:
    """Some seconds, as exactly as a person wants to know."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def counted(count: int, word: str) -> str:
    """`1 card`, `2 cards`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def quoted(value: object, limit: int = 80) -> str:
    """A value from a configuration as it may be shown: as JSON, without control characters, cut to `limit`."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
