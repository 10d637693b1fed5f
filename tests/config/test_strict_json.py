"""A document that all JSON parsers read in the same way is accepted, any other is a fault; nothing else is raised."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.config.strict_json import ENTRIES_LIMIT, SIZE_LIMIT, UnreadableError, parse
from tests.support.chinese import in_chinese

MEANT = "check that this is the right object"


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"[NaN]", "o.json: is not JSON (NaN is not a number); correct it"),
        (b"[-Infinity]", "o.json: is not JSON (-Infinity is not a number); correct it"),
        (b"[1e999]", 'o.json: has a number out of range ("1e999"); correct it'),
        (b"[" + b"1" * 5000 + b"]", f'o.json: has a number out of range ("{"1" * 38}…); correct it'),
        (b'["\xff"]', "o.json: is not UTF-8 at byte 2; save it as UTF-8"),
        ('["AAPL"]'.encode("utf-16"), "o.json: is not UTF-8 at byte 0; save it as UTF-8"),
        (b'[{"a": 1, "a": 2}]', 'o.json: has the key "a" twice in one object; correct it'),
        (b"[" * 200_000 + b"]" * 200_000, f"o.json: is nested too deep; {MEANT}"),
        (b'{"a":' * 200_000, f"o.json: is nested too deep; {MEANT}"),
        (b"x" * 20_000_000, f"o.json: is larger than 16 MiB; {MEANT}"),
        (b"[" * (SIZE_LIMIT + 1), f"o.json: is larger than 16 MiB; {MEANT}"),
        (b"[" * SIZE_LIMIT, f"o.json: has more than 1,000,000 values; {MEANT}"),
        (b"[" + b"1," * ENTRIES_LIMIT + b"1]", f"o.json: has more than 100,000 entries; {MEANT}"),
        (b"[" + b"[1,1,1,1,1,1,1,1,1,1,1]," * 90_000 + b"1]", f"o.json: has more than 1,000,000 values; {MEANT}"),
    ],
)
def test_the_exact_text_of_refused_documents(data: bytes, fault: str) -> None:
    with pytest.raises(UnreadableError) as refused:
        parse("o.json", data)
    assert str(refused.value) == fault
    assert in_chinese(refused.value.what)
    assert in_chinese(refused.value.remedy)


TAKE_OUT = "remove what follows, or the bracket that ends it too early"
STRAIGHT = 'write straight quotes: "'
OTHER_QUOTE = "a string ends with another quote than it begins with; " + STRAIGHT
SPACE = "replace it with an ordinary space, or remove it"
WRITE_ARRAY = 'write an array, such as ["AAPL", "MSFT"]'


@pytest.mark.parametrize("text", ["", " \n", "\ufeff"])
def test_an_empty_document_is_reported_as_empty(text: str) -> None:
    assert refusal(text) == "is empty; write JSON there"


@pytest.mark.parametrize(
    "text",
    [
        "AAPL,MSFT\n", "ticker\nAAPL\n", "AAPL", "700,\n0700", "-\n- AAPL",
        '"AAPL","MSFT"\n', '"ticker"\r\n"AAPL"\r\n', '"AAPL", MSFT', '"Alphabet ""A""","GOOGL"', '"AAPL"\t"Apple"\n',
    ],
)  # fmt: skip
def test_a_csv_file_is_reported_as_csv(text: str) -> None:
    assert refusal(text) == f"is not JSON but plain text, such as CSV; {WRITE_ARRAY}"


@pytest.mark.parametrize(
    ("text", "at", "cause"),
    [
        ('["AAPL",]', (1, 9), "a comma stands before ]; remove that comma"),
        ('["AAPL",\n  ]', (2, 3), "a comma stands before ]; remove that comma"),
        ('{"a": 1,}', (1, 9), "a comma stands before }; remove that comma"),
        ("[1,,2]", (1, 4), "a comma stands too early; remove it, or write what is missing before it"),
        ("['AAPL']", (1, 2), 'it has single quotes; write double quotes: "'),
        ("{'a': 1}", (1, 2), 'it has single quotes; write double quotes: "'),
        ("[“AAPL”]", (1, 2), f"it has the quote “; {STRAIGHT}"),
        ("“AAPL”", (1, 1), f"it has the quote “; {STRAIGHT}"),
        ("{＂a＂: 1}", (1, 2), f"it has the quote ＂; {STRAIGHT}"),
        ('["AAPL”]', (1, 2), OTHER_QUOTE),
        ('["AAPL”, "MSFT"]', (1, 11), OTHER_QUOTE),
        ('["AAPL"，"MSFT"]', (1, 8), "it has the full-width ，; write ,"),
        ('["AAPL"、"MSFT"]', (1, 8), "it has the full-width 、; write ,"),
        ('{"a"：1}', (1, 5), "it has the full-width ：; write :"),
        ('【"a"】', (1, 1), "it has the full-width 【; write ["),
        ('["AAPL" "MSFT"]', (1, 9), "a comma is missing; add it"),
        ('{"a" 1}', (1, 6), "a colon is missing after a key; add it"),
        ("[AAPL]", (1, 2), 'AAPL is not in quotes; write "AAPL"'),
        ("[0700.HK]", (1, 3), '0700.HK is not in quotes; write "0700.HK"'),
        ("[700.HK]", (1, 5), '700.HK is not in quotes; write "700.HK"'),
        ("{" + "x" * 5000 + ": 1}", (1, 2), f'{"x" * 39}… is not in quotes; write "{"x" * 40}…'),
        ("[True]", (1, 2), "it has True; write true"),
        ('["a", // x\n]', (1, 7), "it has a comment; remove it"),
        ("// tickers\n[1]", (1, 1), "it has a comment; remove it"),
        ("# tickers\n[1]", (1, 1), "it has a comment; remove it"),
        ("/* tickers */ [1]", (1, 1), "it has a comment; remove it"),
        ("[1] // tickers", (1, 5), "it has a comment; remove it"),
        ('{"a" /* x */: 1}', (1, 6), "it has a comment; remove it"),
        ("[1 // x\n]", (1, 4), "it has a comment; remove it"),
        ('["AAPL",\u00a0"MSFT"]', (1, 9), f"it has U+00A0 (no-break space); {SPACE}"),
        ('["AAPL"\u3000, "MSFT"]', (1, 8), f"it has U+3000 (ideographic space); {SPACE}"),
        ('\u00a0["AAPL"]', (1, 1), f"it has U+00A0 (no-break space); {SPACE}"),
        ('["AAPL"]\u00a0', (1, 9), f"it has U+00A0 (no-break space); {SPACE}"),
        ('["AAPL"\u00a0', (1, 8), f"it has U+00A0 (no-break space); {SPACE}"),
        ('["AAPL",\u00a0]', (1, 9), f"it has U+00A0 (no-break space); {SPACE}"),
        ('[\u200b"AAPL"]', (1, 2), f"it has U+200B (zero width space); {SPACE}"),
        ('["a"', (1, 5), "it ends before all brackets are closed; close them"),
        ('["a', (1, 2), 'a string does not end on its line; add the missing "'),
        ('["a\nb"]', (1, 4), 'a string does not end on its line; add the missing "'),
        ("[] []", (1, 4), f"something follows its end; {TAKE_OUT}"),
        ("[`a`]", (1, 2), "Expecting value; correct it"),
    ],
)
def test_the_likely_cause_of_bad_json_is_reported_with_its_remedy(text: str, at: tuple[int, int], cause: str) -> None:
    assert refusal(text) == f"is not JSON at line {at[0]} column {at[1]}: {cause}"


@pytest.mark.parametrize("text", ["<!DOCTYPE html><html>", "\n<html><body>Sign in</body>", "<?xml version='1.0'?>"])
def test_a_web_page_is_reported_as_one(text: str) -> None:
    assert refusal(text) == "is not JSON but a web page or XML; download the object itself, not the page that shows it"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"PK\x03\x04\x14\x00\x06\x00" + b"\xff" * 30, "an Excel workbook (.xlsx) or another ZIP file"),
        (b"PK\x03\x04\x14\x00\x06\x00\x08\x00", "an Excel workbook (.xlsx) or another ZIP file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 30, "an old Excel workbook (.xls)"),
    ],
)
def test_a_workbook_is_reported_as_one(data: bytes, what: str) -> None:
    assert refusal(data) == f"is not JSON but {what}; {WRITE_ARRAY}"


def refusal(text: str | bytes) -> str:
    with pytest.raises(UnreadableError) as refused:
        parse("o.json", text if isinstance(text, bytes) else text.encode())
    assert in_chinese(refused.value.what)
    assert in_chinese(refused.value.remedy)
    return str(refused.value).removeprefix("o.json: ")


def test_commas_and_brackets_in_strings_do_not_count_as_values() -> None:
    assert parse("o.json", b'["' + b",[{" * 400_000 + b'"]') == [",[{" * 400_000]


def test_too_many_values_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "loads", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(UnreadableError, match="more than 1,000,000 values"):
        parse("o.json", b"[" + b"[]," * 1_000_000 + b"1]")


def test_a_byte_order_mark_is_accepted() -> None:
    assert parse("o.json", b'\xef\xbb\xbf["AAPL"]') == ["AAPL"]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**38), 10**38)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_json_comes_back_as_it_was_written(value: object) -> None:
    assert parse("o.json", json.dumps(value).encode()) == value


@given(st.binary() | st.text('[]{}",:0123456789.eE+-truefalsn\\ud8 ').map(str.encode))
def test_any_bytes_give_a_value_or_a_fault(data: bytes) -> None:
    fault = None
    try:
        parse("o.json", data)
    except UnreadableError as refused:
        fault = refused
    if fault is not None:
        text = str(fault)
        assert text.startswith("o.json: ")
        assert text.isprintable()
        assert len(text) < 300
        assert in_chinese(fault.what).isprintable()
