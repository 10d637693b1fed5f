"""Faults: what is wrong with the configuration, worded for its user."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from job.errors import JobError
from job.text.display import quoted


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: where it is (an object and the places in it, or a variable), what it is, and what to do about it."""

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.remedy}"


class ConfigError(JobError):
    """The configuration cannot be used, and nothing was called. Has all faults that were found, at least one."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


@dataclass(frozen=True, slots=True)
class Problem:
    """An error of a validator, before it is known which object or variable the path belongs to."""

    path: tuple[str | int, ...]
    what: str
    remedy: str
    shown: str | None
    """The value as a fault may show it; `None` if the path shows it already."""


def invalid(what: str, remedy: str, shown: str | None = None) -> PydanticCustomError:
    """The error that a validator raises, in our own words; pydantic adds the place.

    `shown` is shown in place of the value.
    """
    # `what` is a value of the template, not the template: it may contain braces
    return PydanticCustomError("invalid", "{what}", {"what": what, "remedy": remedy, "shown": shown})


def problems(error: ValidationError) -> Iterator[Problem]:
    """Pydantic's errors in our own words."""
    for detail in error.errors(include_url=False):
        kind, loc = detail["type"], detail["loc"]
        if kind == "default_factory_not_called":  # follows from another error of the same object
            continue
        words, ctx = _WORDS.get(kind), detail.get("ctx", {})
        what, remedy = words(ctx, detail["input"]) if words else (detail["msg"], "correct it")
        of_key = kind in {"missing", "extra_forbidden"} or "[key]" in loc  # pydantic's mark of an object's key
        shown = None if of_key else brief(detail["input"])
        path = tuple(step for step in loc if step != "[key]")
        yield Problem(path, what, remedy, ctx.get("shown") or shown)


def brief(value: object) -> str:
    """A JSON value, shortened for a fault."""
    if isinstance(value, list):
        return "[…]" if value else "[]"
    if isinstance(value, dict):
        return "{…}" if value else "{}"
    return quoted(value, 40)


def _is_no_string(_: dict[str, Any], value: object) -> tuple[str, str]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return "is not a string", "write it in quotes" if is_number else "write a string"


def _is_no_boolean(_: dict[str, Any], value: object) -> tuple[str, str]:
    return "is not a boolean", "write true or false" + (" without quotes" if isinstance(value, str) else "")


_WORDS: Mapping[str, Callable[[dict[str, Any], object], tuple[str, str]]] = {
    "invalid": lambda ctx, _: (ctx["what"], ctx["remedy"]),
    "missing": lambda *_: ("is missing", "add it"),
    "extra_forbidden": lambda *_: ("is not a known key", "correct its name or remove it"),
    "string_unicode": lambda *_: ("holds half a character", "write whole characters"),
    "string_type": _is_no_string,
    "bool_type": _is_no_boolean,
    "list_type": lambda *_: ("is not an array", "write an array"),
    "dict_type": lambda *_: ("is not an object", "write an object"),
    "model_type": lambda *_: ("is not an object", "write an object"),
    "literal_error": lambda ctx, _: (f"is not one of {ctx['expected']}", "write one of these"),
}
