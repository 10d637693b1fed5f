"""The simulators are strict about who asks."""

from typing import Any

import pytest

from tests.simulators.engines import engine as make_engine
from tests.simulators.seen import Seen
from tests.simulators.tokens import Mint

MINT = Mint()


@pytest.mark.parametrize(
    ("token", "status"),
    [
        (lambda _: None, 403),
        (lambda audience: MINT.token(audience, 60), None),
        (lambda audience: MINT.token(audience, -60), 401),
        (lambda audience: MINT.token(f"{audience}/", 60), 401),
        (lambda audience: Mint().token(audience, 60), 401),
        (lambda audience: MINT.token(audience, 60)[:-2], 401),
        (lambda audience: MINT.token(audience, 60, iss="https://example.com"), 401),
        (lambda _: "ä.b.c", 401),
        (lambda _: "x", 401),
    ],
)
def test_engines_accept_only_valid_tokens(token: Any, status: int | None) -> None:
    qa = make_engine("qa", MINT, [])
    given = token(qa.url)
    headers = {} if given is None else {"authorization": f"Bearer {given}"}
    seen = Seen("qa", 1, 1, 1, "POST", "/card/a?ticker=AAPL", headers, b"", 0.0)
    refusal = qa.guard(seen)
    assert (refusal and refusal.status) == status
    assert refusal is None or refusal.content_type.startswith("text/html")
    assert (seen.claims is not None) == (refusal is None)
