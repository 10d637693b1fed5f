"""Strict JSON: reads config objects; an error says where the text is wrong, and what probably happened."""

import json
import math
import re
import unicodedata
from typing import NoReturn

from job.config.findings import Place
from job.text.display import quoted, shortened

_QUOTES = "“”„‟‘’‚‛＂＇「」『』«»"
_SIGNS = {"，": ",", "、": ",", "；": ",", "：": ":", "［": "[", "【": "[", "］": "]", "】": "]", "｛": "{", "｝": "}"}
_COMMENTS = ("//", "/*", "#")
_FILES = {
    b"PK\x03\x04": "an Excel workbook (.xlsx) or another ZIP file",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls)",
}
"""How files begin that are uploaded by mistake, and what they are."""
_WRITE_ARRAY = 'write an array, such as ["AAPL", "MSFT"]'
_LITERALS = {"True": "true", "False": "false", "None": "null", "TRUE": "true", "FALSE": "false", "NULL": "null"}
_REACH = 1000
"""Characters before and after the error that are examined."""


def other_file(data: bytes) -> tuple[str, str] | None:
    """What the document is if it is a file of another kind, and the remedy; `None` if it may be JSON."""
    kind = next((kind for start, kind in _FILES.items() if data.startswith(start)), None)
    return None if kind is None else (f"is not JSON but {kind}", _WRITE_ARRAY)


def likely_cause(error: json.JSONDecodeError) -> tuple[str, str]:
    """The mistake at which the parser stopped, and the remedy; the parser's own message if the mistake is not known."""
    text = error.doc.lstrip()
    if not text:
        return "is empty", "write JSON there"
    if text.startswith("<"):
        return "is not JSON but a web page or XML", "download the object itself, not the page that shows it"
    is_csv = text.startswith('"') and error.msg == "Extra data"
    if is_csv or not (text.startswith((*f'[{{"{_QUOTES}', *_SIGNS, *_COMMENTS)) or _is_unseen(text[0])):
        return "is not JSON but plain text, such as CSV", _WRITE_ARRAY
    before = error.doc[max(0, error.pos - _REACH) : error.pos]
    after = error.doc[error.pos : error.pos + _REACH]
    what, remedy = _cause(error.msg, before, after)
    return f"is not JSON at line {error.lineno} column {error.colno}: {what}", remedy


def _is_unseen(char: str) -> bool:
    """Whether it looks like a space or like nothing, and JSON does not allow it outside of strings."""
    return char != " " and unicodedata.category(char) in {"Zs", "Cf"}


def _cause(words: str, before: str, after: str) -> tuple[str, str]:
    if words.startswith(("Unterminated string", "Invalid control character")):
        # almost always the closing quote is missing, or is another character
        return _OTHER_QUOTE if re.search(f"[{_QUOTES}]", before + after) else _NO_QUOTE
    if after and _is_unseen(after[0]):
        name = unicodedata.name(after[0], "an invisible character").lower()
        return f"it has U+{ord(after[0]):04X} ({name})", "replace it with an ordinary space, or remove it"
    if after.startswith(_COMMENTS):
        return "it has a comment", "remove it"
    if not after.strip():
        return "it ends before all brackets are closed", "close them"
    if words == "Extra data":
        return "something follows its end", "remove what follows, or the bracket that ends it too early"
    if words.startswith("Expecting ':'") and after[0] not in _SIGNS:
        return "a colon is missing after a key", "add it"
    return _at(after[0], before, after) or _of_word(before, after) or (words, "correct it")


_OTHER_QUOTE = ("a string ends with another quote than it begins with", 'write straight quotes: "')
_NO_QUOTE = ("a string does not end on its line", 'add the missing "')


def _at(char: str, before: str, after: str) -> tuple[str, str] | None:
    """The mistake that the next characters show, if it is a known one."""
    closing = re.match(r",?\s*([\]}])", after)
    if closing and (char == "," or before.rstrip().endswith(",")):
        return f"a comma stands before {closing[1]}", "remove that comma"
    if char == ",":
        return "a comma stands too early", "remove it, or write what is missing before it"
    if char == "'":
        return "it has single quotes", 'write double quotes: "'
    if char in _QUOTES:
        return f"it has the quote {char}", 'write straight quotes: "'
    if char in _SIGNS:
        return f"it has the full-width {char}", f"write {_SIGNS[char]}"
    if re.search(r'"[^"\n]*[“”„‟＂][^"\n]*"\Z', before):
        return _OTHER_QUOTE
    if char in '"[{' and re.search(r'["\]}\w]\s*\Z', before):
        return "a comma is missing", "add it"
    return None


def _of_word(before: str, after: str) -> tuple[str, str] | None:
    """The mistake if the parser stopped in a word without quotes."""
    first, last = _WORD_END.search(before), _WORD_START.match(after)
    word = (first[0] if first else "") + (last[0] if last else "")
    if word in _LITERALS:
        return f"it has {word}", f"write {_LITERALS[word]}"
    return (f"{shortened(word, 40)} is not in quotes", f"write {quoted(word, 42)}") if word else None


_WORD_START = re.compile(r"[\w.^=$&-]*")
_WORD_END = re.compile(r"[\w.^=$&-]*\Z")


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
