"""A document is read in the one way in which everybody reads it, or it is refused: nothing else is ever raised."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.config.strict_json import ENTRIES_LIMIT, SIZE_LIMIT, UnreadableError, parse

MEANT = "write the object that is meant"


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "o.json: line 1 column 1: is not JSON (Expecting value); correct it"),
        (b'["AAPL",\n  ]', "o.json: line 2 column 3: is not JSON (Expecting value); correct it"),
        (b"['AAPL']", "o.json: line 1 column 2: is not JSON (Expecting value); correct it"),
        (b"[] []", "o.json: line 1 column 4: is not JSON (Extra data); correct it"),
        (b'["a\nb"]', "o.json: line 1 column 4: is not JSON (Invalid control character at); correct it"),
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
        (b"[" * SIZE_LIMIT, f"o.json: is nested too deep; {MEANT}"),
        (b"[" + b"1," * ENTRIES_LIMIT + b"1]", f"o.json: has more than 100,000 entries; {MEANT}"),
        (b"[" + b"[1,1,1,1,1,1,1,1,1,1,1]," * 90_000 + b"1]", f"o.json: has more than 1,000,000 values; {MEANT}"),
    ],
)
def test_what_is_refused_and_in_which_words(data: bytes, fault: str) -> None:
    with pytest.raises(UnreadableError) as refused:
        parse("o.json", data)
    assert str(refused.value.fault) == fault


def test_a_byte_order_mark_is_forgiven() -> None:
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
def test_bytes_are_a_value_or_a_fault(data: bytes) -> None:
    fault = None
    try:
        parse("o.json", data)
    except UnreadableError as refused:
        fault = refused.fault
    assert fault is None or (fault.where.startswith("o.json") and str(fault).isprintable())
