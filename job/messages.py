"""Messages: sentences for people, kept as a template and its values until somebody reads them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Union

Value = Union[str, int, float, "Message"]
"""What a template may hold: text, a number, or another message, such as the reason of a failure."""

_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence for people. `str()` gives it in English; a template is also the id that its translations are found by.

    Build it with `message` or `plural`, so that its template is found when templates are collected.
    """

    id: str
    """The English template, with places such as `{count}` for the values."""
    values: Mapping[str, Value] = field(default_factory=dict)
    plural: str | None = None
    """The template if the value `count` is not 1; `None` if there is no difference."""

    def __str__(self) -> str:
        template = self.id if self.plural is None or self.values.get("count") == 1 else self.plural
        # Not str.format: a template from a record must not reach into its values.
        return _PLACE.sub(lambda place: _shown(self.values.get(place[1], place[0])), template)


def message(template: str, /, **values: Value) -> Message:
    """The message of a template."""
    return Message(template, values)


def plural(one: str, other: str, /, count: int, **values: Value) -> Message:
    """The message of `one` if `count` is 1, else of `other`; both may use `{count}`."""
    return Message(one, {"count": count, **values}, other)


def template(text: str) -> str:
    """Marks a template that a table holds until a message is made of it."""
    return text


def _shown(value: Value) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)
