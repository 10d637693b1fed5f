"""Display: values as printable and short text, for a terminal, a page or a sentence."""

import json
import re
import unicodedata
from datetime import datetime, timedelta, timezone


def printable(value: object) -> str:
    """A value as text that is safe to show: every character that `is_control` except the line feed is replaced.

    The result can be encoded. Any other character stays, so that a name can be copied from where it is shown.
    """
    text = str(value)
    if text.isprintable():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if is_control(char) and char != "\n" else char for char in text)


def is_control(char: str) -> bool:
    """Whether it is an escape or another control character, a change of direction, or half of a surrogate pair.

    Unlike for `str.isprintable`, other spaces, private characters and those newer than this Python are none.
    """
    return unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def shortened(value: str, limit: int) -> str:
    """The beginning of a long text."""
    return value if len(value) <= limit else f"{value[: limit - 1]}…"


def without_credentials(uri: str) -> str:
    """A URI as an error may quote it: without what stands before an @ or after a ?, which may be secret."""
    return re.sub(r"\?.+", "?…", re.sub(r".*@", "…@", uri, flags=re.DOTALL), flags=re.DOTALL)


def clock(moment: datetime, day: str | None = None) -> str:
    """The time of day with its time zone, as an offset from UTC; with the date, unless that is `day`."""
    pattern = "%H:%M" if f"{moment:%Y-%m-%d}" == day else "%Y-%m-%d %H:%M"
    return f"{moment:{pattern}} {zone_of(moment)}"


def zone_of(moment: datetime) -> str:
    """The time zone as an offset from UTC, such as `UTC+08:00`."""
    return timezone(moment.utcoffset() or timedelta()).tzname(None)


def quoted(value: object, limit: int = 80) -> str:
    """A value from a configuration as it may be shown: as JSON, without control characters, cut to `limit`."""
    if isinstance(value, str):
        value = value[: limit + 1]  # before it is encoded, as it may have megabytes
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
