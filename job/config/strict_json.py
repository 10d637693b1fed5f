"""Strict JSON: reads config objects; an error says where the text is wrong, and what to do about a common mistake."""

import re
from collections import deque
from io import BytesIO
from itertools import islice
from typing import Any

import jiter

from job.config.findings import Place
from job.text.display import printable, quoted
from job.text.messages import Message, message

SIZE_LIMIT = 16 * 2**20
"""Bytes of one config object: some 50,000 targets of the full form."""

SIGNS_LIMIT = 1_000_000
"""Commas and opening brackets of one config object. There is one before each value, which may take 20 times its text's
memory."""

WRONG_OBJECT = message("check that this is the right object")

_QUOTES = "'“”„‟‘’‚‛＂＇「」『』«»"
_OTHER_END = re.compile(f'"[^"]*[{_QUOTES[1:]}][^"]*"?\\Z')
"""A string that begins with a straight quote and probably was meant to end with another one."""
_SIGNS = {"，": ",", "、": ",", "；": ",", "：": ":", "［": "[", "【": "[", "］": "]", "】": "]", "｛": "{", "｝": "}"}
_REACH = 1000
"""Characters before and after the error that are examined."""
_SHOWN = 20
"""Characters of what cannot be read that a fault shows."""
_SAID = {
    "recursion limit exceeded": (message("it is nested too deep"), WRONG_OBJECT),
    "trailing comma": (message("it has a comma after the last entry"), message("remove it")),
}
"""What the parser says, with the cause and the remedy."""
_TWICE = 'Detected duplicate key "'


class UnreadableError(Exception):
    """The document holds no usable value. Has the parts of the fault: place, what and remedy."""

    def __init__(self, place: Place, what: Message, remedy: Message) -> None:
        super().__init__(f"{place.document}: {what}; {remedy}")
        self.place, self.what, self.remedy = place, what, remedy


def parse_object(name: str, data: bytes) -> list[Any] | dict[str, Any]:
    """The array or object that the document holds. It may hold infinity, for a number that is too large.

    Raises `UnreadableError` if it is not UTF-8, is no such JSON, is larger than `SIZE_LIMIT`, or has a key twice in
    one object.
    """
    place = Place(name)
    if len(data) > SIZE_LIMIT:
        raise UnreadableError(place, message("is larger than {count} MiB", count=SIZE_LIMIT >> 20), WRONG_OBJECT)
    data = data.removeprefix(b"\xef\xbb\xbf")
    first = data.lstrip()[:1]
    if not first or (first.isascii() and first not in b"[{/#"):
        what = message("is no JSON array or object, but perhaps empty, a table, a web page or a workbook")
        raise UnreadableError(place, what, message('write JSON there, such as ["AAPL", "MSFT"]'))
    try:
        data.decode()
    except UnicodeDecodeError as error:
        what = message("is not UTF-8 at byte {place}", place=str(error.start))
        raise UnreadableError(place, what, message("save it as UTF-8")) from None
    if sum(map(data.count, (b",", b"[", b"{"))) > SIGNS_LIMIT:
        what = message("has more than {count} commas and brackets", count=SIGNS_LIMIT)
        raise UnreadableError(place, what, WRONG_OBJECT)
    try:
        value: list[Any] | dict[str, Any] = jiter.from_json(data, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        raise UnreadableError(place, *_explained(str(error), data)) from None
    return value


def _explained(error: str, data: bytes) -> tuple[Message, Message]:
    """What is wrong at the place where the parser stopped, and the remedy."""
    said, _, numbers = error.rpartition(" at line ")
    line, column = map(int, numbers.split(" column "))
    line -= not column  # what ends a line is counted as column 0 of the next one
    text = deque(islice(BytesIO(data), line), maxlen=1)[0].rstrip(b"\r\n")  # splitting 16 MiB could take a GiB
    at = column - 1 if column and not said.startswith("EOF") else len(text)  # in bytes
    before, after = text[:at].decode(errors="ignore"), text[at:].decode(errors="ignore")
    cause, remedy = _cause(said, before[-_REACH:], after[:_REACH].rstrip())
    place = {"line": str(line), "column": str(len(before) + 1)}
    return message("is not JSON at line {line} column {column}: {cause}", **place, cause=cause), remedy


def _cause(said: str, before: str, after: str) -> tuple[Message, Message]:
    start, straight = after[:1], message('write straight quotes: "')
    if said.startswith(_TWICE):
        key = quoted(said.removeprefix(_TWICE).removesuffix('"'), 40)
        return message("it has the key {key} twice in one object", key=key), message("keep one of the two")
    if said in _SAID:
        return _SAID[said]
    if start == ",":
        return message("a comma stands too early"), message("remove it, or write what is missing beside it")
    if after.startswith(("//", "/*", "#")):
        return message("it has a comment"), message("remove it")
    if start in _SIGNS:
        return message("it has the full-width {sign}", sign=start), message("write {text}", text=_SIGNS[start])
    if start and start in _QUOTES:
        return message("it has the quote {quote}", quote=start), straight
    if _OTHER_END.search(before):
        return message("a string ends with another quote than it begins with"), straight
    if not after:
        return message("a string or a bracket is not closed"), message("close it")
    text = printable(after.partition("\n")[0][:_SHOWN])
    if said.startswith("expected `,` or"):
        return message("a comma is missing before {text}", text=text), message("add the comma")
    return message("it cannot go on with {text}", text=text), message("correct it")
