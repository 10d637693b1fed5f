"""Faults: what is wrong with the configuration, worded for its user."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from job.errors import JobError
from job.text.messages import Message, colon, message, semicolon
from job.text.shown import quoted

WRONG_TYPE = message("has the wrong type")


class FaultKind(StrEnum):
    """What a fault is in."""

    VARIABLE = "variable"
    OBJECT = "object"
    """A config object."""
    STORAGE = "storage"
    """What CONFIG_URI or RUNS_URI names."""
    IMAGE = "image"
    """A record that only a newer image can read."""
    COMMAND = "command"
    """The command line: only who gave it can correct it, and is told at once."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: where it is (an object and the places in it, a variable, or an option), what, and what to do."""

    where: str | Message
    what: Message
    remedy: Message
    kind: FaultKind = FaultKind.VARIABLE

    @property
    def variable(self) -> str | None:
        """The name of the variable that has it, or that names what has it."""
        return None if self.kind in {FaultKind.OBJECT, FaultKind.COMMAND} else str(self.where)

    @property
    def sentence(self) -> Message:
        """The whole fault, as a log line or a terminal shows it."""
        return colon(self.where, semicolon(self.what, self.remedy))

    def __str__(self) -> str:
        return str(self.sentence)


def not_set(variable: str, remedy: Message) -> Fault:
    """The fault of a variable that is needed and not set."""
    return Fault(variable, message("is not set"), remedy)


class ConfigError(JobError):
    """The configuration cannot be used, and nothing was called. Has all faults that were found, at least one."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


@dataclass(frozen=True, slots=True, repr=False)  # pydantic asks for the text of every value, needlessly
class Problem:
    """An error of a validator, before it is known which object or variable the path belongs to."""

    path: tuple[str | int, ...]
    what: Message
    remedy: Message
    shown: str | None
    """The value as a fault may show it; `None` if the path shows it already."""


def invalid(what: Message, remedy: Message, shown: str | None = None) -> PydanticCustomError:
    """The error that a validator raises, in our own words; pydantic adds the place.

    `shown` is shown in place of the value.
    """
    return PydanticCustomError("invalid", "{text}", {"text": Problem((), what, remedy, shown)})


def problems(error: ValidationError) -> Iterator[Problem]:
    """Pydantic's errors in our own words."""
    for detail in error.errors(include_url=False):
        kind, loc, ctx = detail["type"], detail["loc"], detail.get("ctx", {})
        if kind == "default_factory_not_called":  # follows from another error of the same object
            continue
        own_fault: Problem | None = ctx.get("text")
        if own_fault is not None:
            what, remedy = own_fault.what, own_fault.remedy
        elif kind in _EXPLAINED:
            what, remedy = _EXPLAINED[kind](ctx, detail["input"])
        else:
            what, remedy = Message(detail["msg"]), message("correct it")
        of_key = kind in {"missing", "extra_forbidden"} or "[key]" in loc  # pydantic's mark of an object's key
        shown = None if of_key else brief(detail["input"])
        path = tuple(step for step in loc if step != "[key]")
        yield Problem(path, what, remedy, (own_fault and own_fault.shown) or shown)


def brief(value: object) -> str:
    """A JSON value, shortened for a fault."""
    if isinstance(value, list):
        return "[…]" if value else "[]"
    if isinstance(value, dict):
        return "{…}" if value else "{}"
    return quoted(value, 40)


def _is_no_string(_: dict[str, Any], value: object) -> tuple[Message, Message]:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return WRONG_TYPE, message("write it in quotes") if is_number else message("write a string")


def _is_none_of(ctx: dict[str, Any], _: object) -> tuple[Message, Message]:
    names, _, last = ctx["expected"].rpartition(" or ")
    return message("is not one of {names} or {last}", names=names, last=last), message("write one of these")


_EXPLAINED: Mapping[str, Callable[[dict[str, Any], object], tuple[Message, Message]]] = {
    "missing": lambda *_: (message("is missing"), message("add it")),
    "extra_forbidden": lambda *_: (message("is not a known key"), message("correct its name or remove it")),
    "string_type": _is_no_string,
    "bool_type": lambda *_: (WRONG_TYPE, message("write true or false, without quotes")),
    "list_type": lambda *_: (WRONG_TYPE, message("write an array")),
    "dict_type": lambda *_: (WRONG_TYPE, message("write an object")),
    "model_type": lambda *_: (WRONG_TYPE, message("write an object")),
    "literal_error": _is_none_of,
}
