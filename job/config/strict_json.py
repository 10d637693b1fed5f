"""Strict JSON: a parser for config objects that refuses ambiguous JSON."""

import json
import math
import re
from typing import NoReturn

from job.config.findings import Place
from job.config.json_causes import likely_cause, other_file
from job.text.display import quoted

SIZE_LIMIT = 16 * 2**20
"""Bytes of one config object: some 50,000 targets of the full form."""

ENTRIES_LIMIT = 100_000
"""Entries of one config object."""

VALUES_LIMIT = 1_000_000
"""Values of one config object at any depth: 5,300,000 empty arrays of 3 bytes each would take some 400 MiB."""

ENTRY_LIMIT = 10_000
"""Values of one entry at any depth. It limits the number of faults that are found at once."""


WRONG_OBJECT = "check that this is the right object"


class UnreadableError(Exception):
    """The document holds no usable value. Has the parts of the fault: place, what and remedy."""

    def __init__(self, place: Place, what: str, remedy: str) -> None:
        super().__init__(f"{place.document}: {what}; {remedy}")
        self.place, self.what, self.remedy = place, what, remedy


def parse(name: str, data: bytes) -> object:
    """The value that the document holds.

    Raises `UnreadableError` if it is not UTF-8, is not JSON (NaN and infinities are not), is nested too deep, exceeds
    one of the limits above, or has a key twice in one object: json would silently drop one of the two values.
    """
    place = Place(name)
    if len(data) > SIZE_LIMIT:
        raise UnreadableError(place, f"is larger than {SIZE_LIMIT >> 20} MiB", WRONG_OBJECT)
    if (cause := other_file(data)) is not None:
        raise UnreadableError(place, *cause)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableError(place, f"is not UTF-8 at byte {error.start}", "save it as UTF-8") from None
    if _values_at_most(data) > VALUES_LIMIT:
        raise UnreadableError(place, f"has more than {VALUES_LIMIT:,} values", WRONG_OBJECT)
    text = text.removeprefix("\ufeff")
    try:
        value: object = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except RecursionError:
        raise UnreadableError(place, "is nested too deep", WRONG_OBJECT) from None
    except json.JSONDecodeError as error:
        raise UnreadableError(place, *likely_cause(error)) from None
    except _NotJsonError as error:
        raise UnreadableError(place, str(error), "correct it") from None
    _refuse_excess(name, value)
    return value


class _NotJsonError(ValueError):
    pass


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _NotJsonError(f"has the key {quoted(twice)} twice in one object")
    return value


def _constant(text: str) -> NoReturn:
    raise _NotJsonError(f"is not JSON ({text} is not a number)")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _NotJsonError(f"has a number out of range ({quoted(text)})")
    return number


def _int(text: str) -> int:
    if len(text) > 40:  # int() takes quadratic time, and raises another error above 4,300 digits
        raise _NotJsonError(f"has a number out of range ({quoted(text, 40)})")
    return int(text)


def _values_at_most(data: bytes) -> int:
    """An upper bound of the number of values in a document, without parsing it."""
    if len(data) > VALUES_LIMIT and sum(map(data.count, _BEFORE_VALUES)) > VALUES_LIMIT:
        data = _STRING.sub(b"", data)
    return 1 + sum(map(data.count, _BEFORE_VALUES))


_BEFORE_VALUES = (b",", b"[", b"{")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def _refuse_excess(name: str, value: object) -> None:
    if not isinstance(value, list | dict):
        return
    if len(value) > ENTRIES_LIMIT:
        raise UnreadableError(Place(name), f"has more than {ENTRIES_LIMIT:,} entries", WRONG_OBJECT)
    for step, entry in value.items() if isinstance(value, dict) else enumerate(value):
        count, rest = 0, [entry]
        while rest:
            count += 1
            item = rest.pop()
            rest += item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        if count > ENTRY_LIMIT:
            raise UnreadableError(Place(name, [step]), f"has more than {ENTRY_LIMIT:,} values", WRONG_OBJECT)
