"""Strict JSON: reads config objects; an error says where the text is wrong, and what probably happened."""

import json
import math
import re
import unicodedata
from typing import NoReturn

from job.config.findings import Place
from job.text.display import quoted, shortened
from job.text.messages import Message, message, template

_QUOTES = "“”„‟‘’‚‛＂＇「」『』«»"
_SIGNS = {"，": ",", "、": ",", "；": ",", "：": ":", "［": "[", "【": "[", "］": "]", "】": "]", "｛": "{", "｝": "}"}
_COMMENTS = ("//", "/*", "#")
_FILES = {
    b"PK\x03\x04": message("is not JSON but an Excel workbook (.xlsx) or another ZIP file"),
    b"\xd0\xcf\x11\xe0": message("is not JSON but an old Excel workbook (.xls)"),
}
"""How files begin that are uploaded by mistake, and what they are."""
_WRITE_ARRAY = message('write an array, such as ["AAPL", "MSFT"]')
_LITERALS = {"True": "true", "False": "false", "None": "null", "TRUE": "true", "FALSE": "false", "NULL": "null"}
_REACH = 1000
"""Characters before and after the error that are examined."""


Said = tuple[Message, Message]
"""What is wrong, and the remedy."""


def other_file(data: bytes) -> Said | None:
    """What the document is if it is a file of another kind, and the remedy; `None` if it may be JSON."""
    what = next((what for start, what in _FILES.items() if data.startswith(start)), None)
    return None if what is None else (what, _WRITE_ARRAY)


def likely_cause(error: json.JSONDecodeError) -> Said:
    """The mistake at which the parser stopped, and the remedy; the parser's own message if the mistake is not known."""
    text = error.doc.lstrip()
    if not text:
        return message("is empty"), message("write JSON there")
    if text.startswith("<"):
        remedy = message("download the object itself, not the page that shows it")
        return message("is not JSON but a web page or XML"), remedy
    is_csv = text.startswith('"') and error.msg == "Extra data"
    if is_csv or not (text.startswith((*f'[{{"{_QUOTES}', *_SIGNS, *_COMMENTS)) or _is_unseen(text[0])):
        return message("is not JSON but plain text, such as CSV"), _WRITE_ARRAY
    before = error.doc[max(0, error.pos - _REACH) : error.pos]
    after = error.doc[error.pos : error.pos + _REACH]
    cause, remedy = _cause(error.msg, before, after)
    line, column = str(error.lineno), str(error.colno)
    return message("is not JSON at line {line} column {column}: {cause}", line=line, column=column, cause=cause), remedy


def _is_unseen(char: str) -> bool:
    """Whether it looks like a space or like nothing, and JSON does not allow it outside of strings."""
    return char != " " and unicodedata.category(char) in {"Zs", "Cf"}


def _cause(words: str, before: str, after: str) -> Said:
    if words.startswith(("Unterminated string", "Invalid control character")):
        # almost always the closing quote is missing, or is another character
        return _OTHER_QUOTE if re.search(f"[{_QUOTES}]", before + after) else _NO_QUOTE
    if after and _is_unseen(after[0]):
        code, name = f"U+{ord(after[0]):04X}", unicodedata.name(after[0]).lower()
        return message("it has {code} ({name})", code=code, name=name), message(
            "replace it with an ordinary space, or remove it"
        )
    if after.startswith(_COMMENTS):
        return message("it has a comment"), message("remove it")
    if not after.strip():
        return message("it ends before all brackets are closed"), message("close them")
    if words == "Extra data":
        remedy = message("remove what follows, or the bracket that ends it too early")
        return message("something follows its end"), remedy
    if words.startswith("Expecting ':'") and after[0] not in _SIGNS:
        return message("a colon is missing after a key"), message("add it")
    return _at(after[0], before, after) or _of_word(before, after) or (Message(words), message("correct it"))


_SAID_BY_PARSER = (
    template("Expecting value"),
    template("Expecting property name enclosed in double quotes"),
    template("Expecting ',' delimiter"),
    template("Invalid \\escape"),
    template("Invalid \\escape: "),
    template("Invalid \\uXXXX escape"),
)
"""What the parser says of mistakes that are not known here."""
_OTHER_QUOTE = (
    message("a string ends with another quote than it begins with"),
    message('write straight quotes: "'),
)
_NO_QUOTE = (message("a string does not end on its line"), message('add the missing "'))


def _at(char: str, before: str, after: str) -> Said | None:
    """The mistake that the next characters show, if it is a known one."""
    closing = re.match(r",?\s*([\]}])", after)
    if closing and (char == "," or before.rstrip().endswith(",")):
        return message("a comma stands before {bracket}", bracket=closing[1]), message("remove that comma")
    if char == ",":
        return message("a comma stands too early"), message("remove it, or write what is missing before it")
    if char == "'":
        return message("it has single quotes"), message('write double quotes: "')
    if char in _QUOTES:
        return message("it has the quote {quote}", quote=char), message('write straight quotes: "')
    if char in _SIGNS:
        return message("it has the full-width {sign}", sign=char), message("write {text}", text=_SIGNS[char])
    if re.search(r'"[^"\n]*[“”„‟＂][^"\n]*"\Z', before):
        return _OTHER_QUOTE
    if char in '"[{' and re.search(r'["\]}\w]\s*\Z', before):
        return message("a comma is missing"), message("add it")
    return None


def _of_word(before: str, after: str) -> Said | None:
    """The mistake if the parser stopped in a word without quotes."""
    first, last = _WORD_END.search(before), _WORD_START.match(after)
    word = (first[0] if first else "") + (last[0] if last else "")
    if word in _LITERALS:
        return message("it has {word}", word=word), message("write {text}", text=_LITERALS[word])
    if not word:
        return None
    what = message("{word} is not in quotes", word=shortened(word, 40))
    return what, message("write {text}", text=quoted(word, 42))


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


WRONG_OBJECT = message("check that this is the right object")


_TOO_MANY_VALUES = template("has more than {count} values")


class UnreadableError(Exception):
    """The document holds no usable value. Has the parts of the fault: place, what and remedy."""

    def __init__(self, place: Place, what: Message, remedy: Message) -> None:
        super().__init__(f"{place.document}: {what}; {remedy}")
        self.place, self.what, self.remedy = place, what, remedy


def parse(name: str, data: bytes) -> object:
    """The value that the document holds.

    Raises `UnreadableError` if it is not UTF-8, is not JSON (NaN and infinities are not), is nested too deep, exceeds
    one of the limits above, or has a key twice in one object: json would silently drop one of the two values.
    """
    place = Place(name)
    if len(data) > SIZE_LIMIT:
        raise UnreadableError(place, message("is larger than {count} MiB", count=SIZE_LIMIT >> 20), WRONG_OBJECT)
    if (cause := other_file(data)) is not None:
        raise UnreadableError(place, *cause)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        what = message("is not UTF-8 at byte {place}", place=str(error.start))
        raise UnreadableError(place, what, message("save it as UTF-8")) from None
    if _values_at_most(data) > VALUES_LIMIT:
        raise UnreadableError(place, message(_TOO_MANY_VALUES, count=VALUES_LIMIT), WRONG_OBJECT)
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
        raise UnreadableError(place, message("is nested too deep"), WRONG_OBJECT) from None
    except json.JSONDecodeError as error:
        raise UnreadableError(place, *likely_cause(error)) from None
    except _NotJsonError as error:
        raise UnreadableError(place, error.what, message("correct it")) from None
    _refuse_excess(name, value)
    return value


class _NotJsonError(ValueError):
    def __init__(self, what: Message) -> None:
        super().__init__(str(what))
        self.what = what


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _NotJsonError(message("has the key {key} twice in one object", key=quoted(twice)))
    return value


_OUT_OF_RANGE = template("has a number out of range ({number})")


def _constant(text: str) -> NoReturn:
    raise _NotJsonError(message("is not JSON ({text} is not a number)", text=text))


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _NotJsonError(message(_OUT_OF_RANGE, number=quoted(text)))
    return number


def _int(text: str) -> int:
    if len(text) > 40:  # int() takes quadratic time, and raises another error above 4,300 digits
        raise _NotJsonError(message(_OUT_OF_RANGE, number=quoted(text, 40)))
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
        what = message("has more than {count} entries", count=ENTRIES_LIMIT)
        raise UnreadableError(Place(name), what, WRONG_OBJECT)
    for step, entry in value.items() if isinstance(value, dict) else enumerate(value):
        count, rest = 0, [entry]
        while rest:
            count += 1
            item = rest.pop()
            rest += item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        if count > ENTRY_LIMIT:
            raise UnreadableError(Place(name, [step]), message(_TOO_MANY_VALUES, count=ENTRY_LIMIT), WRONG_OBJECT)
