"""JSON causes: the likely mistake in text that is not valid JSON, and its remedy."""

import json
import re
import unicodedata

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
