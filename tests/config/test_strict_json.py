"""A document that all JSON parsers read in the same way is accepted, any other is a fault."""

import pytest

from job.config.faults import InvalidError
from job.config.objects import SIGNS_LIMIT, SIZE_LIMIT, parse_object

MEANT = "check that this is the right object"


def refusal(data: str | bytes) -> str:
    with pytest.raises(InvalidError) as refused:
        parse_object(data if isinstance(data, bytes) else data.encode())
    return f"{refused.value.what}; {refused.value.remedy}"


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b'["\xff"]', "is not UTF-8 at byte 2; save it as UTF-8"),
        ('["AAPL"]'.encode("utf-16"), "is not UTF-8 at byte 0; save it as UTF-8"),
        (b"[" * (SIZE_LIMIT + 1), f"is larger than 16 MiB; {MEANT}"),
        (b"[" * (SIGNS_LIMIT + 1), f"has more than 1,000,000 commas and brackets; {MEANT}"),
    ],
    ids=["bytes", "UTF-16", "size", "signs"],
)
def test_a_document_that_is_too_large_or_no_text_is_refused(data: bytes, fault: str) -> None:
    assert refusal(data) == fault


@pytest.mark.parametrize("text", [" \n", "\ufeff", '"AAPL","MSFT"\n', "null"])
def test_what_is_no_json_at_all_is_reported_as_that(text: str) -> None:
    assert refusal(text) == (
        "is not a JSON array or object; perhaps it is empty, a table, a web page or a workbook; "
        'write JSON there, such as ["AAPL", "MSFT"]'
    )


STRAIGHT = 'write straight quotes: "'
OPEN = "a string or a bracket is not closed; close it"


@pytest.mark.parametrize(
    ("text", "place", "cause"),
    [
        ('["AAPL",\n  ]', '2 column 3 (["AAPL", ▸ ])', "it has a comma after the last entry; remove it"),
        ("{'a': 1}", "1 column 2 ({ ▸ 'a': 1})", f"it has the quote '; {STRAIGHT}"),
        ('["AAPL”]', '1 column 9 (["AAPL”] ▸)', f"it has the quote ”; {STRAIGHT}"),
        ('["AAPL”, "MSFT"]', '1 column 11 (["AAPL”, " ▸ MSFT"])', f"it has the quote ”; {STRAIGHT}"),
        ('[\r\n"AAPL”,\r\n"MSFT"]', '2 column 8 ([ "AAPL”, ▸)', f"it has the quote ”; {STRAIGHT}"),
        ('["茅台"，"MSFT"]', '1 column 6 (["茅台" ▸ ，"MSFT"])', "it has the full-width ，; write ,"),
        ('["a", // x\n]', '1 column 7 (["a", ▸ // x)', "it has a comment; remove it"),
        ("# tickers\n[1]", "1 column 1 (▸ # tickers)", "it has a comment; remove it"),
        ('["a"\n\n', '1 column 5 (["a" ▸)', OPEN),
        ('["a\nb"]', '1 column 4 (["a ▸)', OPEN),
        ('[\n"茅台" "MSFT"\n]', '2 column 6 ([ "茅台" ▸ "MSFT")', "a comma is missing; add it"),
        (
            '[{"a": 1, "a": 2}]',
            '1 column 15 ([{"a": 1, "a": ▸  2}])',
            'it has the key "a" twice in one object; keep one of the two',
        ),
    ],
)
def test_a_common_mistake_is_reported_with_its_place_and_what_to_do(text: str, place: str, cause: str) -> None:
    assert refusal(text) == f"is not JSON at line {place}: {cause}"


@pytest.mark.parametrize(
    ("text", "place"),
    [("[1,\u3000NaN]", "1 column 4 ([1, ▸ \\u3000NaN])"), ("[" * 300, f"1 column 202 ({'[' * 20} ▸ {'[' * 20})")],
)
def test_any_other_is_reported_with_its_place(text: str, place: str) -> None:
    assert refusal(text) == f"is not JSON at line {place}; correct it"


def test_a_byte_order_mark_is_accepted() -> None:
    assert parse_object('\ufeff["茅台", 1.5, {"a": null}]'.encode()) == ["茅台", 1.5, {"a": None}]
