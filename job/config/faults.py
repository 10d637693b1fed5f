"""What is wrong with the configuration, in the words that its user reads."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from job.text import quoted

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: where it is (an object and the place in it, or a variable), what it is, and what to do about it."""

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.remedy}"


class ConfigError(Exception):
    """The configuration cannot be used. Holds every fault that was found, never none; nothing was called."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


def place(path: Sequence[str | int]) -> str:
    """A place in a JSON document: `[3].card_types[1]`, `tasks.news_card`, `["BRK.B"][0]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.match(step):
            text += f".{step}" if text else step
        else:
            text += f"[{quoted(step)}]"
    return text


def within(document: str, path: Sequence[str | int] = ()) -> str:
    """Where a fault is: `card_targets.json: [3].card_types[1]`, or the document alone."""
    return f"{document}: {place(path)}" if path else document


def invalid(what: str, remedy: str) -> PydanticCustomError:
    """An error in our own words, for the place that pydantic knows. Braces would be taken for a template's."""
    return PydanticCustomError("unfit", "{what}", {"what": what, "remedy": remedy})


_WORDS: dict[str, Callable[[dict[str, Any]], tuple[str, str]]] = {
    "unfit": lambda ctx: (ctx["what"], ctx["remedy"]),
    "missing": lambda _: ("is missing", "add it"),
    "extra_forbidden": lambda _: ("is not a known key", "correct its name or remove it"),
    "string_unicode": lambda _: ("holds half a character", "write whole characters"),
    "string_type": lambda _: ("is not a string", "write a string"),
    "bool_type": lambda _: ("is not a boolean", "write true or false"),
    "list_type": lambda _: ("is not an array", "write an array"),
    "dict_type": lambda _: ("is not an object", "write an object"),
    "model_type": lambda _: ("is not an object", "write an object"),
    "literal_error": lambda ctx: (f"is not one of {ctx['expected']}", "write one of these"),
}


def faults_of(document: str, error: ValidationError) -> list[Fault]:
    """Pydantic's errors in this project's words."""
    return [_fault(document, detail) for detail in error.errors(include_url=False)]


def _fault(document: str, detail: ErrorDetails) -> Fault:
    # pydantic marks an object's key by a step of its own
    path = [step for step in detail["loc"] if step != "[key]"]
    words = _WORDS.get(detail["type"])
    what, remedy = words(detail.get("ctx", {})) if words else (detail["msg"], "correct it")
    return Fault(within(document, path), what, remedy)
