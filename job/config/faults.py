"""Faults: what is wrong with the configuration, in the words that its user reads."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from job.text import quoted


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: where it is (an object and the place in it, or a variable), what it is, and what to do about it."""

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.remedy}"


class ConfigError(Exception):
    """The configuration cannot be used. Holds every fault that was found, at least one; nothing was called."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


def within(document: str, path: Sequence[str | int] = ()) -> str:
    """Where a fault is: `card_targets.json: [3].card_types[1]`, or the document alone."""
    return f"{document}: {_place(path)}" if path else document


def _place(path: Sequence[str | int]) -> str:
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


_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")


def invalid(what: str, remedy: str) -> PydanticCustomError:
    """The error that a validator raises, in our own words; pydantic adds the place."""
    # as a value of the template: braces in `what` would be taken for the template's own
    return PydanticCustomError("invalid", "{what}", {"what": what, "remedy": remedy})


def faults_of(error: ValidationError, where: Callable[[Sequence[str | int]], str]) -> list[Fault]:
    """Pydantic's errors in our own words; `where` names the place that a path leads to."""
    faults = []
    for detail in error.errors(include_url=False, include_input=False):
        if detail["type"] == "default_factory_not_called":  # follows from another error of the same object
            continue
        path = [step for step in detail["loc"] if step != "[key]"]  # pydantic's mark of an object's key
        words = _WORDS.get(detail["type"])
        what, remedy = words(detail.get("ctx", {})) if words else (detail["msg"], "correct it")
        faults.append(Fault(where(path), what, remedy))
    return faults


_WORDS: Mapping[str, Callable[[dict[str, Any]], tuple[str, str]]] = {
    "invalid": lambda ctx: (ctx["what"], ctx["remedy"]),
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
