"""An answer counts as a success only if the engine's own code says so; no bytes whatever raise an exception."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.engines.answers import Response, Verdict, judge
from job.engines.calls import Call, card, financial, news, trading
from job.engines.failures import Cause, Failure
from job.text.shown import EXCERPT_LIMIT, excerpt

FINANCIAL = financial(["AAPL", "MSFT"])
TRADING = trading(["AAPL", "msft"])
NEWS = news("AAPL", "equity", "AAPL", "2026-11-24")
QA = card("AAPL", "news_card", "2026-11-24", ())
CALLS = (FINANCIAL, TRADING, NEWS, QA)
GOOD, BAD = {"status": "success"}, {"status": "failed", "message": "no data"}


def verdict(call: Call, answer: object, status: int = 200, token: str = "") -> Verdict:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return judge(call, Response(status, body), token)


def failure_of(call: Call, answer: object, status: int = 200) -> Failure:
    failure = verdict(call, answer, status).failure
    assert failure is not None
    return failure


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (FINANCIAL, {"message": "", "status": "success", "error": None}),
        (FINANCIAL, {"message": ""}),
        (TRADING, {"results": {"AAPL": GOOD, "MSFT": GOOD | {"error": ""}, "TSLA": BAD}, "error": None}),
        (NEWS, {"status": "skipped", "error": ""}),
        (QA, {"status": "success", "score": float("nan"), "error": []}),
        (QA, b'\xef\xbb\xbf{"status": "success"}'),
    ],
)
def test_successes_without_a_warning(call: Call, answer: object) -> None:
    assert verdict(call, answer) == Verdict()


@pytest.mark.parametrize(
    ("call", "answer", "cause", "text"),
    [
        (FINANCIAL, {}, Cause.UNREADABLE, 'unexpected answer: {}; expected was {"message": "…"}'),
        (
            FINANCIAL,
            {"message": 1},
            Cause.UNREADABLE,
            'unexpected answer: {"message": 1}; expected was {"message": "…"}',
        ),
        (FINANCIAL, {"message": "m", "status": "failed"}, Cause.DENIED, "failed: m"),
        (FINANCIAL, {"message": "m", "status": None}, Cause.DENIED, "m"),
        (FINANCIAL, {"message": "m", "error": "e"}, Cause.DENIED, "e"),
        (FINANCIAL, {"message": "m", "error": ""}, Cause.DENIED, "m"),
        (
            FINANCIAL,
            [GOOD],
            Cause.UNREADABLE,
            'unexpected answer: [{"status": "success"}]; expected was {"message": "…"}',
        ),
        (
            TRADING,
            {"message": "m"},
            Cause.UNREADABLE,
            'unexpected answer: {"message": "m"}; expected was {"results": {…}}',
        ),
        (TRADING, {"status": "error", "message": "m"}, Cause.DENIED, "error: m"),
        (TRADING, {"results": {"AAPL": GOOD, "MSFT": "success"}}, Cause.DENIED, 'msft: the engine answered "success"'),
        (NEWS, {"status": "SUCCESS"}, Cause.DENIED, 'the engine answered {"status": "SUCCESS"}'),
        (QA, {"status": "skipped"}, Cause.DENIED, 'the engine answered {"status": "skipped"}'),
        (QA, {"status": "error", "detail": "d"}, Cause.DENIED, "error: d"),
        (QA, {"status": ["success"]}, Cause.DENIED, 'the engine answered {"status": ["success"]}'),
        (QA, {"error": "e"}, Cause.DENIED, "e"),
        (QA, None, Cause.DENIED, "the engine answered null"),
        (QA, "success", Cause.UNREADABLE, 'unexpected answer: "success"; expected was {"status": "success"}'),
    ],
)
def test_failures_that_come_with_status_200(call: Call, answer: object, cause: Cause, text: str) -> None:
    failure = failure_of(call, answer)
    assert (failure.cause, str(failure.reason), failure.status) == (cause, text, 200)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "the answer is empty"),
        (b"<html><style>p{}</style><h1>Error</h1>\n<p>Oops</p>", "the answer cannot be read: Error Oops"),
        (b'{"status": "success"} trailing', 'the answer cannot be read: {"status": "success"} trailing'),
        (b"\xff\xfe", "the answer cannot be read: \ufffd\ufffd"),
        (b"[" * 100_000, "the answer cannot be read: " + "[" * (EXCERPT_LIMIT - 1) + "…"),
        (
            b'{"status": "success", "status": "failed"}',
            'the answer cannot be read: {"status": "success", "status": "failed"}',
        ),
        (b'{"status": %b}' % (b"1" * 5_000), 'the answer cannot be read: {"status": ' + "1" * 188 + "…"),
    ],
)
def test_an_answer_that_cannot_be_read_is_a_failure(body: bytes, text: str) -> None:
    failure = failure_of(QA, body)
    assert (failure.cause, str(failure.reason), failure.status) == (Cause.UNREADABLE, text, 200)


WARNED = {"status": "success", "error": "quota exceeded"}


@pytest.mark.parametrize(
    ("call", "answer", "said", "names"),
    [
        (QA, GOOD | {"error": {"code": 429}}, '{"code": 429}', ()),
        (NEWS, WARNED | {"status": "skipped"}, "quota exceeded", ()),
        (TRADING, {"results": {"AAPL": GOOD, "MSFT": GOOD}, "error": "late"}, "late", ()),
        (TRADING, {"results": {"AAPL": GOOD, "MSFT": WARNED}}, "msft: quota exceeded", ("msft",)),
        (TRADING, {"results": {"AAPL": GOOD, "MSFT": WARNED}, "error": "about all"}, "msft: quota exceeded", ()),
    ],
)
def test_a_success_with_an_error_has_a_warning(call: Call, answer: object, said: str, names: tuple[str, ...]) -> None:
    found = verdict(call, answer)
    assert (found.failure, found.with_error) == (None, names)
    assert str(found.warning) == f"the answer says success, but has an error: {said}"


MISSING = {"detail": [{"type": "missing", "loc": ["query", "as_of"], "msg": "Field required"}]}
SPRING = {"status": 500, "error": "Internal Server Error", "message": "no connection to the model"}
QUOTA = {"error": {"code": 429, "message": "Daily quota exceeded"}}
GOOGLE = (
    b"<html><head><title>503 Server Error</title></head>\n<body><h1>Error: Server Error</h1>\n"
    b"<h2>The service you requested is not available yet.</h2></body></html>"
)


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (422, MISSING, "query.as_of: Field required"),
        (429, QUOTA, "Daily quota exceeded"),
        (500, SPRING, "no connection to the model"),
        (500, SPRING | {"message": ""}, ""),
        (502, SPRING | {"message": "E_DOWN"}, "Internal Server Error"),
        (500, {"error": "MODEL_DOWN", "message": "模型没有应答"}, "模型没有应答"),
        (500, {"error": {"code": "E42", "error": "unavailable", "message": "try later"}}, "try later"),
        (500, {"detail": "MODEL_DOWN", "message": "busy"}, "MODEL_DOWN"),
        (503, GOOGLE, "Error: Server Error The service you requested is not available yet."),
        (503, b"<html><title>503 Service Unavailable</title><h1>503 Service Unavailable</h1></html>", ""),
        (503, b"503 tickers are too many", "503 tickers are too many"),
    ],
)
def test_the_words_of_an_error_are_quoted_once(status: int, answer: object, said: str) -> None:
    """With the place of a field, without a title that repeats the status or the heading."""
    assert str(failure_of(QA, answer, status).reason) == (f"HTTP {status}: {said}" if said else f"HTTP {status}")


SECRET = "9k2Lr0-Vq_7TzX4mB1nY8cW3dF6gH5jK0pQ2sU"


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.engine)
@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (500, {"detail": SECRET}),
        (200, f"not JSON: {SECRET}".encode()),
        (200, [SECRET]),
        (200, {"status": "failed", "error": SECRET}),
        (200, {"status": SECRET, "error": "e"}),
        (200, {"status": SECRET}),
        (200, GOOD | {"message": "m", "error": SECRET}),
        (200, GOOD | {"error": [SECRET]}),
        (200, f'{{"{SECRET}": 1, "{SECRET}": 1}}'.encode()),
        (200, {"results": {"AAPL": {"status": SECRET}, "MSFT": {"status": "failed", "message": SECRET}}}),
        (200, {"results": {"AAPL": GOOD | {"error": SECRET}, "MSFT": GOOD}}),
    ],
)
def test_no_sentence_on_an_answer_quotes_the_token_that_was_sent(call: Call, status: int, answer: object) -> None:
    found = verdict(call, answer, status, SECRET)
    reason = found.failure.reason if found.failure else None
    assert SECRET[:20] not in f"{reason} {found.warning}"
    assert SECRET[-20:] not in f"{reason} {found.warning}"


def test_the_ticker_as_it_was_sent_wins_over_its_upper_case() -> None:
    call = trading(["brk.b"])
    fine, failed = {"status": "success"}, {"status": "failed", "message": "no rows"}
    assert verdict(call, {"results": {"brk.b": failed, "BRK.B": fine}}).failure is not None
    assert verdict(call, {"results": {"brk.b": fine, "BRK.B": failed}}).failure is None
    assert verdict(call, {"results": {"BRK.B": fine}}).failure is None


def test_only_the_tickers_that_failed_are_named() -> None:
    three = trading(["A", "B", "C"])
    failure = failure_of(three, {"results": {"A": GOOD, "B": BAD}})
    assert failure.targets == ("B", "C")
    assert str(failure.reason) == "B: failed: no data; C: the answer does not have it"
    alone = failure_of(trading(["B"]), {"results": {"B": BAD}})
    assert str(alone.reason) == "failed: no data", "the call is named already"


def test_the_failure_of_a_large_batch_is_a_short_line() -> None:
    many = trading([f"T{number:03}" for number in range(1000)])
    failure = failure_of(many, {"results": {name: {"status": "failed", "error": "x" * 300} for name in many.targets}})
    assert failure.targets == (), "all failed"
    assert str(failure.reason).endswith("; and 990 more")
    assert len(str(failure.reason)) < 3000
    assert str(many.label) == "trading T000, T001, T002, T003, T004, T005, T006, T007, T008, T009 and 990 more"


@pytest.mark.parametrize("status", [199, 300, 399, 500])
def test_no_body_turns_another_status_than_2xx_into_a_success(status: int) -> None:
    for call in CALLS:
        failure = failure_of(call, GOOD | {"message": "", "results": {"AAPL": GOOD, "MSFT": GOOD}}, status)
        assert (failure.cause, failure.status) == (Cause.STATUS, status)
    assert verdict(QA, GOOD, 299).failure is None


TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"


def test_excerpts_are_one_short_line_without_tokens() -> None:
    assert excerpt(f"failed\n\t\x1b[31mfor\x00 Bearer {TOKEN}!") == "failed for Bearer [token]!"
    assert excerpt(b"x" * 10_000) == "x" * 199 + "…"
    assert "eyJ" not in excerpt("y" * 180 + TOKEN)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["status", "message", "error", "results", "AAPL", "MSFT"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.binary() | ANYTHING.map(lambda answer: json.dumps(answer).encode()),
    st.sampled_from(CALLS),
    st.integers(100, 599),
)
def test_no_bytes_raise_an_exception_and_every_failure_can_be_shown(body: bytes, call: Call, status: int) -> None:
    failure = judge(call, Response(status, body), "").failure
    if failure is not None:
        assert str(failure.reason).isprintable()
        assert "\n" not in str(failure.reason)
        assert len(str(failure.reason)) < 3 * EXCERPT_LIMIT
        assert set(failure.targets) <= set(call.targets)
