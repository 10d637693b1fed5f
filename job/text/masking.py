"""Masking: shortens text from outside, and masks secrets in it."""

import re

EXCERPT_LIMIT = 200


_TOKEN = re.compile(r"eyJ[\w-]{2,}(\.[\w-]*)*|ya29\.[\w.-]+")
"""JWTs, and Google's access tokens."""


_RUN = re.compile(r"[A-Za-z0-9+/_=%-]{32,}+")
_RANDOM = re.compile(r"[A-Za-z0-9]{16,}+")
_DUMP = re.compile(
    r"[0-9A-Fa-f]{65,}+|(?<![A-Za-z0-9])(?:(?:[^A-Za-z0-9]|amp;){0,12}+(?:0?[xuU]\{?)?"
    r"(?:(?<=[xuU#{])0{1,6}(?=[0-9A-Fa-f]{2})|(?<=%)25)?[0-9A-Fa-f]{2,3}(?![0-9A-Za-z])){20,}+"
)
"""Text written as numbers: more hexadecimal digits than a digest has, or a number for each character."""


_TAG = re.compile(r"<(style|script)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)


def excerpt(data: bytes, token: str = "") -> str:
    """The beginning of a text from outside, in one line, without markup, control characters and tokens.

    `token` holds the tokens that the author of the text has seen; they are masked in whatever form they are echoed.
    Other text that looks like a secret is masked too; digests, trace ids and paths are not.
    """
    text = data[: EXCERPT_LIMIT * 50].decode("utf-8", "replace")
    if text.lstrip().startswith("<"):
        text = _TAG.sub(" ", text)
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    if token:
        text = masked(text[: EXCERPT_LIMIT * 10], token)
    text = _TOKEN.sub("[token]", text[: EXCERPT_LIMIT * 10])
    text = _DUMP.sub(" [token]", _RUN.sub(_unless_secret, text)).lstrip()
    return text if len(text) <= EXCERPT_LIMIT else f"{text[: EXCERPT_LIMIT - 1]}…"


def _unless_secret(match: re.Match[str]) -> str:
    """The text; or a mask, if part of it mixes capitals, small letters and digits as no word does."""
    kinds = (str.isupper, str.islower, str.isdigit)
    is_secret = any(all(any(map(kind, part)) for kind in kinds) for part in _RANDOM.findall(match[0]))
    return "[token]" if is_secret else match[0]


SECRET_RUN = 20
"""A sequence of this many characters of a token is never shown; a shorter one is of no use to an attacker."""


_BETWEEN = re.compile(r"[^A-Za-z0-9_-]+")
"""Characters that no part of a token has."""


_ESCAPE = re.compile(r"<[^<>]*>|\\[nrtbf]|(?:%|\\x|\\u00|&#x)([0-9A-Fa-f]{2});?|&#(\d{2,3});")
"""Tags and escapes in HTML, in URLs and in source code."""


_ESCAPED = re.compile(f"{_ESCAPE.pattern}|[A-Za-z0-9_-]")
_PLAIN = re.compile(r"[A-Za-z0-9_-]")


def masked(text: str, token: str) -> str:
    """The text with the token masked: no sequence of `SECRET_RUN` of its characters is left.

    The token is found even if other characters are inserted (white space, dots, quotes, tags), if it is escaped, or if
    its letters are in another case.
    """
    secret = _BETWEEN.sub("", token).lower()
    if not _may_hold(text, secret) and not _may_hold(_ESCAPE.sub(_character, text), secret):
        return text
    # The token itself may look like a tag or an escape: between < and >, or after a backslash.
    for pattern in (_ESCAPED, _PLAIN):
        text = _masked(text, secret, pattern)
    return text


def _may_hold(text: str, secret: str) -> bool:
    """Whether part of the secret may be in the text: a sequence of `SECRET_RUN` would contain one of these halves."""
    half, letters = SECRET_RUN // 2, _BETWEEN.sub("", text).lower()
    return any(letters[at : at + half] in secret for at in range(0, len(letters) - half + 1, half))


def _masked(text: str, secret: str, pattern: re.Pattern[str]) -> str:
    found = [(char, match) for match in pattern.finditer(text) if _PLAIN.match(char := _character(match))]
    letters = "".join(char for char, _ in found).lower()
    shown, end = "", 0
    for at in range(len(letters) - SECRET_RUN + 1):
        if letters[at : at + SECRET_RUN] in secret:
            start = found[at][1].start()
            if start >= end:
                shown += f"{text[end:start]}[token]"
            end = found[at + SECRET_RUN - 1][1].end()
    return shown + text[end:]


def _character(match: re.Match[str]) -> str:
    """The character of a match, unescaped; empty for a tag."""
    text = match[0]
    if len(text) == 1:
        return text
    code = match[1] or match[2]
    return chr(int(code, 16 if match[1] else 10)) if code else ""
