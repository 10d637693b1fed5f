"""Faults: what is wrong with the configuration, worded for its user."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from job.errors import JobError
from job.text.messages import Message, colon, message, semicolon, template
from job.text.shown import quoted

WRONG_TYPE = message("has the wrong type")
NOT_ONE_OF, WRITE_ONE = template("is not one of {expected}"), message("write one of these")
UNSET_IT = message("correct it or unset it")
_NO_WHOLE_NUMBER = message("{value} is not a whole number")
_NO_SECONDS = message("{value} is not a number of seconds"), UNSET_IT


class FaultKind(StrEnum):
    """What a fault is in."""

    VARIABLE = "variable"
    OBJECT = "object"
    STORAGE = "storage"
    """What CONFIG_URI or RUNS_URI names."""
    RECORD = "record"
    """The record of the day: a start is refused again until somebody has brought back what is missing of it."""
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
        return colon(self.where, semicolon(self.what, self.remedy))

    def __str__(self) -> str:
        return str(self.sentence)


def not_set(variable: str, remedy: Message) -> Fault:
    return Fault(variable, message("is not set"), remedy)


class ConfigError(JobError):
    """The configuration cannot be used, and nothing was called. Has all faults that were found, at least one."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


class InvalidError(ValueError):
    """A value cannot be used: what a validator raises, since pydantic adds its place. Has the parts of the fault."""

    def __init__(self, what: Message, remedy: Message, shown: str | None = None) -> None:
        """`shown` is shown in place of the value."""
        super().__init__()  # pydantic asks for the text of each, needlessly
        self.what, self.remedy, self.shown = what, remedy, shown


def problems(error: ValidationError) -> Iterator[tuple[Sequence[str | int], InvalidError]]:
    """What is wrong, each behind its path. What it shows is `None` if the path shows it already."""
    for detail in error.errors(include_url=False):
        kind, loc, value, ctx = detail["type"], detail["loc"], detail["input"], detail.get("ctx", {})
        if kind == "default_factory_not_called":  # follows from another error of the same object
            continue
        found = ctx.get("error") or _explained(kind, value, ctx)
        is_of_key = kind in {"missing", "extra_forbidden"} or "[key]" in loc  # pydantic's mark of an object's key
        shown = found.shown or (None if is_of_key else quoted(value, 40))
        yield [step for step in loc if step != "[key]"], InvalidError(found.what, found.remedy, shown)


def _explained(kind: str, value: object, ctx: Mapping[str, Any]) -> InvalidError:
    what, remedy = _EXPLAINED.get(kind, (message("is not valid"), message("correct it")))
    values = {**ctx, "value": quoted(value), "expected": ctx.get("expected", "").replace(" or ", ", ")}
    used = {name: values[name] for name in re.findall(r"\{(\w+)\}", what.id)}  # equal faults are combined
    return InvalidError(Message(what.id, used), remedy)


_EXPLAINED: Mapping[str, tuple[Message, Message]] = {
    # of config objects
    "missing": (message("is missing"), message("add it")),
    "extra_forbidden": (message("is not a known key"), message("correct its name or remove it")),
    "string_type": (WRONG_TYPE, message("write a string in quotes")),
    "string_too_long": (message("is longer than {max_length} characters"), message("shorten it")),
    "bool_type": (WRONG_TYPE, message("write true or false, without quotes")),
    "list_type": (WRONG_TYPE, message("write an array")),
    "dict_type": (WRONG_TYPE, message("write an object")),
    "model_type": (WRONG_TYPE, message("write an object")),
    # of both
    "literal_error": (message(NOT_ONE_OF), WRITE_ONE),
    # of variables
    "int_parsing": (_NO_WHOLE_NUMBER, UNSET_IT),
    "int_parsing_size": (_NO_WHOLE_NUMBER, UNSET_IT),
    "float_parsing": _NO_SECONDS,
    "finite_number": _NO_SECONDS,
    "greater_than_equal": (message("{value} is less than {ge}"), UNSET_IT),
    "less_than_equal": (message("{value} is more than {le}"), UNSET_IT),
    "string_pattern_mismatch": (message("{value} is not valid"), UNSET_IT),
    "zoneinfo_str": (message("{value} is not valid"), message("set it to an IANA name such as Asia/Shanghai")),
}
"""What pydantic's errors mean. Secrets have no constraints of pydantic's, since `{value}` is quoted."""
