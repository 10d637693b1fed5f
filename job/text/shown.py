"""Shown: values as printable and short text. Text from outside is shortened, and secrets in it are masked."""

import json
import re
import unicodedata
from datetime import datetime, timedelta, timezone

EXCERPT_LIMIT = 200

_TOKEN = re.compile(r"eyJ[\w-]{2,}(\.[\w-]*)*|ya29\.[\w.-]+")
"""JWTs, and Google's access tokens."""

_RUN = re.compile(r"[A-Za-z0-9+/_=%-]{20,}+")
_PART = re.compile(r"[A-Za-z0-9]{8,}+")
_WORD = re.compile(r"(?=[A-Z]?[a-z]*[aeiouy]|[AEIOUY])[A-Z]?[a-z]{3,}|[0-9]{4,}")
"""What a name has: words, and years."""
_TAG = re.compile(r"<(style|script|title)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
"""The heading of a page repeats its title."""
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
"""What a terminal takes for a command: a colour, a title."""


def excerpt(said: str | bytes, token: str = "") -> str:
    """The beginning of a text from outside, in one line, without markup, control characters and tokens.

    `token` has the ones that the author of the text has seen. Other text that looks like a secret is masked too;
    digests, trace ids and paths are not.
    """
    beginning = said[: EXCERPT_LIMIT * 50]
    text = _ANSI.sub("", beginning if isinstance(beginning, str) else beginning.decode("utf-8", "replace"))
    if text.lstrip().startswith("<"):
        text = _TAG.sub(" ", text)
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    text = masked(text, *token.split())
    return shortened(_RUN.sub(_unless_secret, _TOKEN.sub("[token]", text)), EXCERPT_LIMIT)


def _unless_secret(match: re.Match[str]) -> str:
    """The text; or a mask, if a part of it mixes capitals, small letters and digits as no name does."""
    return "[token]" if any(map(_is_random, _PART.findall(match[0]))) else match[0]


def _is_random(part: str) -> bool:
    """Whether less than 60 % of it are words and years. The shortest have all three kinds of characters."""
    kinds = (str.isupper, str.islower, str.isdigit) if len(part) < 16 else (str.isupper, str.islower)
    return all(any(map(kind, part)) for kind in kinds) and len("".join(_WORD.findall(part))) < 0.6 * len(part)


def masked(text: str, *secrets: str) -> str:
    """The text with these secrets masked, in capitals or not."""
    pattern = "|".join(re.escape(secret) for secret in sorted(filter(None, secrets), key=len, reverse=True))
    return re.sub(pattern, "[token]", text, flags=re.IGNORECASE) if pattern else text


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
    return value if len(value) <= limit else f"{value[: limit - 1]}…"


def without_credentials(uri: str) -> str:
    """A URI as an error may quote it: without what stands before an @ or after a ?, which may be secret."""
    return re.sub(r"\?.+", "?…", re.sub(r".*@", "…@", uri, flags=re.DOTALL), flags=re.DOTALL)


def clock(moment: datetime, day: str) -> str:
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
    return shortened("".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text), limit)
