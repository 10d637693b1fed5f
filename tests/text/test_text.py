"""A token that was sent is in no text that is shown, nor is any other that looks like one; durations are short."""

import base64
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.text.messages import Value, duration, message, said
from job.text.shown import EXCERPT_LIMIT, excerpt, masked
from tests.simulators.tokens import Mint

JWT = Mint().token("https://qa.example", 3600)
OPAQUE = "9k2lr0-vq_7tzx4mb1ny8cw3df6gh5jk0pq2su"
"""It does not look like a secret, since it has no capitals."""


@given(st.sampled_from([JWT, OPAQUE]), st.sampled_from([str, str.upper, str.title]), st.text(), st.text())
def test_a_token_is_masked_where_it_echoes(token: str, change: Callable[[str], str], before: str, after: str) -> None:
    """In any case, and wherever it stands in the text."""
    shown = excerpt(f"{before}{change(token)} {after}", f"other {token}")
    assert token.lower() not in shown.lower()
    assert excerpt(f"{OPAQUE} and {change(token)}", f"{OPAQUE} {token}") == "[token] and [token]"


def test_the_beginning_of_a_token_is_masked_as_any_that_looks_like_one() -> None:
    assert excerpt(f'not allowed: "{JWT[:37]}" was sent', JWT) == 'not allowed: "[token]" was sent'


SIGNATURE = "gE0KBIcD34b1jIPBpi-y24TQAdnoGbsGutRDX38jn9E"
"""Fixed: a random one may look like several short words, which are not masked."""


@pytest.mark.parametrize(
    "secret",
    [
        Mint().token("https://other", 1),
        "ya29.c0ASRK0Gb-x_y.z",
        SIGNATURE,
        base64.b64encode(OPAQUE.encode()).decode(),
        *("sk9Xw2LqPz7RtB4vNcH8", "Zk3mQ9xTb7VhW2rJpN5sYd", "xJq-7Lw2ZbT9KfR-mPq3Xv", "AKqwZRTxcVBnmLKJhgfd"),
        *("Rk9+T2xWq/7ZbLm4HvQcJw==", "gho_Vq7Lx2TzRb9NcW4kHsPd6MfJ", "AIzaSyB7kQ2xW9vT4rNpL6mZcH8"),
    ],
)
def test_text_that_looks_like_a_secret_is_masked(secret: str) -> None:
    assert excerpt(f"refused: {secret} was sent") == "refused: [token] was sent"


@pytest.mark.parametrize(
    "text",
    [
        "trace 4bf92f3577b34da6a3ce929d0e0e4736 of 550e8400-e29b-41d4-a716-446655440000",
        "traceparent 00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        f"image sha256:{'0f' * 32} at {'a1' * 20}",
        "the model gpt-4o2024PreviewInternalBuild7XyZ is not there",
        "Meta-Llama-3.1-405B-Instruct-Turbo, DeepSeek-R1-Distill-Qwen-32B, Llama-4-Maverick-17B-128E-Instruct",
        "Qwen3-235B-A22B-Instruct-2507, GLM-4-9B-Chat-1M-Int8, ERNIE-4-5-300B-A47B-Base-PT, claude-3-5-sonnet-20241022",
        "requests.exceptions.HTTPSConnectionPool: XMLHttpRequestProgressEvent2 ServiceAccountTokenCreator",
        "projects/Acme-Prod-1/locations/us-central1/services/QaEngine/revisions/qa-engine-00042-xyz is denied",
    ],
)
def test_text_that_shows_where_a_failure_came_from_is_kept(text: str) -> None:
    assert excerpt(text, OPAQUE) == text


@given(st.text(max_size=300))
def test_a_text_without_the_token_stays_as_it_is(text: str) -> None:
    assert masked(text, OPAQUE) == text
    assert masked(text, "") == text


def test_hostile_text_is_masked_quickly() -> None:
    """Patterns with backtracking would take minutes for these."""
    for text in ("<", "<a", "eyJ.", JWT, OPAQUE[:19]):
        assert len(excerpt(text * 100_000, JWT)) <= EXCERPT_LIMIT


def test_a_duration_is_in_whole_seconds_and_from_an_hour_on_in_minutes() -> None:
    told = {0.4: "0 s", 59.6: "1 min", 93.0: "1 min 33 s", 3_600.0: "1 h", 5_460.0: "1 h 31 min"}
    assert {seconds: str(duration(seconds)) for seconds in told} == told


def test_a_sentence_that_goes_on_begins_small_unless_with_an_abbreviation() -> None:
    assert [str(message("a: {continued}", continued=message(one))) for one in ("No", "QA is")] == ["a: no", "a: QA is"]


@pytest.mark.parametrize(
    ("begun", "shown"),
    [
        (message("it fails"), "It fails."),
        (message("{error} (at x)", error=message("it fails")), "It fails (at x)."),
        (message("{url} fails", url="https://x"), "https://x fails."),
        (said("nginx is gone"), "nginx is gone."),
        ("eMail is gone", "eMail is gone."),
    ],
)
def test_only_words_of_our_own_begin_with_a_capital(begun: Value, shown: str) -> None:
    assert str(message("{Sentence}.", Sentence=begun)) == shown
    assert str(message("so: {continued}", continued=message("{url} fails", url="Https://x"))) == "so: Https://x fails"
