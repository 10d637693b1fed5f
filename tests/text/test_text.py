"""A token that was sent is in no text that is shown, however an engine echoes it."""

from __future__ import annotations

import base64
import html
import json
import re
import textwrap
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.text.masking import EXCERPT_LIMIT, SECRET_RUN, excerpt, masked
from tests.simulators.tokens import Mint

JWT = Mint().token("https://qa.example", 3600)
OPAQUE = "9k2Lr0-Vq_7TzX4mB1nY8cW3dF6gH5jK0pQ2sU"

ECHOES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in quotes": lambda token: f'"{token}"',
    "between angle brackets": lambda token: f"<{token}>",
    "wrapped": lambda token: "\n".join(textwrap.wrap(token, 25, break_on_hyphens=False)),
    "wrapped in JSON": lambda token: json.dumps("\r\n\t".join(textwrap.wrap(token, 25, break_on_hyphens=False))),
    "wrapped in JSON in JSON": lambda token: json.dumps(json.dumps("\n".join(textwrap.wrap(token, 25)))),
    "put together": lambda token: "' + '".join(textwrap.wrap(token, 25, break_on_hyphens=False)),
    "spaced out": " ".join,
    "with escaped dots": lambda token: token.replace(".", "%2E"),
    "escaped in a URL": lambda token: "".join(f"%{ord(char):02x}" for char in token),
    "escaped in a program": lambda token: token.replace(".", r"\x2e").replace("-", r"\u002d"),
    "escaped in HTML": lambda token: "".join(f"&#{ord(char)};" if char in "-_." else char for char in token),
    "with a tag inside": lambda token: f"{token[:15]}<wbr/>{token[15:]}",
    "in a page": lambda token: f"<p>{'<b>'.join(textwrap.wrap(token, 9, break_on_hyphens=False))}</p>",
    "without its end": lambda token: token[: 2 * SECRET_RUN - 3],
    "without its beginning": lambda token: token[7:],
}


def letters(text: str) -> str:
    """The text without the characters that no token can have."""
    return re.sub(r"[^A-Za-z0-9_-]", "", text)


def is_shown(token: str, text: str) -> bool:
    secret = letters(token)
    return any(secret[at : at + SECRET_RUN] in letters(text) for at in range(len(secret) - SECRET_RUN + 1))


@pytest.mark.parametrize("token", [JWT, OPAQUE], ids=["JWT", "opaque"])
@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_a_token_is_masked_however_it_is_echoed(token: str, echo: Callable[[str], str]) -> None:
    for before in ("not allowed: ", ""):
        shown = excerpt(f"{before}{echo(token)} was sent".encode(), token)
        plain = html.unescape(re.sub("<[^>]*>", "", shown))
        assert not is_shown(token, shown)
        assert not is_shown(token, plain)
        assert "[token]" in shown or not before
        assert shown.startswith(before[:-1])
        assert "was sent" in shown


def test_the_text_around_a_token_is_shown() -> None:
    assert excerpt(f"a Bearer {OPAQUE}, b".encode(), OPAQUE) == "a Bearer [token], b"
    assert excerpt(f"{OPAQUE} and {OPAQUE}".encode(), OPAQUE) == "[token] and [token]"
    assert excerpt(f"a {OPAQUE[:30]}\n{OPAQUE[30:]} b".encode(), OPAQUE) == "a [token] b"
    assert excerpt(f"a {OPAQUE[: SECRET_RUN - 1]} b".encode(), OPAQUE) == f"a {OPAQUE[: SECRET_RUN - 1]} b"


def test_other_tokens_are_recognised_by_their_form() -> None:
    assert excerpt(f"for {Mint().token('https://other', 1)}!".encode(), OPAQUE) == "for [token]!"
    assert excerpt(b"for ya29.c0ASRK0Gb-x_y.z!") == "for [token]!"


SIGNATURE = "gE0KBIcD34b1jIPBpi-y24TQAdnoGbsGutRDX38jn9E"
"""Fixed: a random one may look like several short words, which are not masked."""
DUMPS: dict[str, Callable[[str], str]] = {
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "hex dump": lambda text: text.encode().hex(" "),
    "0x": lambda text: "".join(f"0x{ord(char):02X}," for char in text),
    "escaped twice in a URL": lambda text: "".join(f"%25{ord(char):02X}" for char in text),
    "padded in HTML": lambda text: "".join(f"&#x00{ord(char):02x};" for char in text),
    "padded, decimal": lambda text: "".join(f"&#0{ord(char):03d};" for char in text),
    "HTML in HTML": lambda text: "".join(f"&amp;#x{ord(char):02x};" for char in text),
    "octal": lambda text: "".join(f"\\{ord(char):03o}" for char in text),
    "braces": lambda text: "".join(f"\\u{{{ord(char):x}}}" for char in text),
    "eight digits": lambda text: "".join(f"\\U{ord(char):08x}" for char in text),
    "quoted-printable": lambda text: "".join(f"={ord(char):02X}" for char in text),
    "numbers": lambda text: str([ord(char) for char in text]),
    "turned around": lambda text: text[::-1],
    "of somebody else": str,
}


@pytest.mark.parametrize("dump", DUMPS.values(), ids=DUMPS)
def test_text_that_looks_like_a_secret_is_masked(dump: Callable[[str], str]) -> None:
    shown = excerpt(f"refused: {dump(SIGNATURE)} was sent".encode(), OPAQUE)
    assert re.fullmatch(r"refused:? +\[token\][\]};,]* was sent", shown)


@pytest.mark.parametrize(
    "text",
    [
        "trace 4bf92f3577b34da6a3ce929d0e0e4736 of 550e8400-e29b-41d4-a716-446655440000",
        "traceparent 00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        f"image sha256:{'0f' * 32} at {'a1' * 20}",
        "projects/Acme-Prod-1/locations/us-central1/services/QaEngine/revisions/qa-engine-00042-xyz is denied",
        "at 2026-11-25T10:57:41.123456+00:00, 2026-11-25 10:57:42, 2026-11-25 10:57:43",
        "600519, 000651, 002415, 300750, 601318, 600036, 000858, 002594, 688981, 600900, 000333, 601012",
    ],
)
def test_text_that_shows_where_a_failure_came_from_is_kept(text: str) -> None:
    assert excerpt(text.encode(), OPAQUE) == text


@given(st.text(max_size=300) | st.text("<>%\\&#;ux0123 abn\"'", max_size=300))
def test_a_text_without_the_token_stays_as_it_is(text: str) -> None:
    assert masked(text, OPAQUE) == text
    assert masked(text, "") == text


@given(
    st.sampled_from([JWT, OPAQUE]),
    st.sampled_from([" ", ".", '"', "\n", "\\n", "%0A", "%20", "<i>", "</span>", "&#10;", "\\u000a", "…", "\u200b"]),
    st.sets(st.integers(1, 60), max_size=60),
)
def test_a_token_is_masked_whatever_stands_between_its_characters(token: str, between: str, places: set[int]) -> None:
    echo = "".join(between * (at in places) + char for at, char in enumerate(token))
    assert not is_shown(token, re.sub(re.escape(between), "", excerpt(f"x {echo} y".encode(), token)))


def test_hostile_text_is_masked_quickly() -> None:
    """Patterns with backtracking would take minutes for these."""
    for text in ("<", "<a", "&#", "%", "\\u00", "eyJ.", "69 ", "&#x00", "0x", JWT, OPAQUE[:19], quote(JWT, safe="")):
        assert len(excerpt(text.encode() * 100_000, JWT)) <= EXCERPT_LIMIT
