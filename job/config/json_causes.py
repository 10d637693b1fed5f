"""What is likely wrong with a text that is meant to be JSON, and what to do about it."""

import json
import re

from job.text import quoted

_QUOTES = "“”„‟‘’‚‛＂＇「」『』«»"
_SIGNS = {"，": ",", "、": ",", "；": ",", "：": ":", "［": "[", "【": "[", "］": "]", "】": "]", "｛": "{", "｝": "}"}
_LITERALS = {"True": "true", "False": "false", "None": "null", "TRUE": "true", "FALSE": "false", "NULL": "null"}
_REACH = 1000
"""Characters before and after the place that are looked at."""


def likely_cause(error: json.JSONDecodeError) -> tuple[str, str]:
    """What is wrong at the place where reading ended, and the remedy; the parser's own words if that is not known."""
    text, place = error.doc, error.pos
    before, after = text[max(0, place - _REACH) : place], text[place : place + _REACH]
    next_char = after[:1]
    if not text.strip():
        return "is empty", "write JSON there"
    if error.msg.startswith(("Unterminated string", "Invalid control character")):
        return _open_string(before + after)
    if text.lstrip()[0] not in '[{"' + _QUOTES + "".join(_SIGNS):
        return "is not JSON but a plain list, such as CSV", 'write an array, such as ["AAPL", "MSFT"]'
    if not after.strip():
        return "is not JSON: it ends before all brackets are closed", "close them"
    if error.msg == "Extra data":
        return "is not JSON: something follows its end", "remove what follows, or the bracket that ends it too early"
    return _at(next_char, before, after) or _of_word(before, after) or (f"is not JSON ({error.msg})", "correct it")


def _open_string(text: str) -> tuple[str, str]:
    """Of a string whose end was not found: nearly always its last quote is missing, or is another character."""
    if any(char in text for char in "“”„‟＂"):
        return "is not JSON: a string ends with another quote than it begins with", 'write straight quotes: "'
    return "is not JSON: a string does not end on its line", 'add the missing "'


def _at(next_char: str, before: str, after: str) -> tuple[str, str] | None:
    """What the next character tells."""
    comma_before, closing = re.search(r",\s*\Z", before), re.match(r",?\s*([\]}])", after)
    if closing and (comma_before or next_char == ","):
        return f"is not JSON: a comma stands before {closing[1]}", "remove that comma"
    if next_char == ",":
        return "is not JSON: a comma stands where a value is expected", "remove one comma"
    if next_char == "'":
        return "is not JSON: it has single quotes", 'write double quotes: "'
    if next_char in _QUOTES:
        return f"is not JSON: it has the quote {next_char}", 'write straight quotes: "'
    if next_char in _SIGNS:
        return f"is not JSON: it has the full-width {next_char}", f"write {_SIGNS[next_char]}"
    if after.startswith(("//", "/*", "#")):
        return "is not JSON: it has a comment", "remove it"
    if re.search(r'["“][^"“”\n]*”[^"\n]*"\Z', before):
        return "is not JSON: a string ends with another quote than it begins with", 'write straight quotes: "'
    if next_char in '"[{' and re.search(r'["\]}\w]\s*\Z', before):
        return "is not JSON: a comma or a colon is missing", "add it"
    return None


def _of_word(before: str, after: str) -> tuple[str, str] | None:
    """The word in which reading ended, if it is not in quotes."""
    word = _WORD_END.search(before)[0] + _WORD_START.match(after)[0]  # type: ignore[index]  both match always
    if word in _LITERALS:
        return f"is not JSON: it has {word}", f"write {_LITERALS[word]}"
    if word:
        shown = quoted(word, 40)
        return f"is not JSON: {shown[1:-1]} is not in quotes", f"write {shown}"
    return None


_WORD_START = re.compile(r"[\w.^=$&-]*")
_WORD_END = re.compile(r"[\w.^=$&-]*\Z")
