"""Messages: sentences for people, kept as a template and its values until somebody reads them, in their language."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from gettext import NullTranslations, translation
from pathlib import Path
from typing import Literal, Union

Language = Literal["en", "zh"]
LANGUAGES: Mapping[Language, str] = {"en": "en", "zh": "zh-CN"}
"""What people can read, each with its tag for HTML (BCP 47)."""
CATALOGS = Path(__file__).parent / "locale"
"""The gettext catalogs. `make messages` collects what they translate, and compiles them."""
DOMAIN = "job"
NAMED = 10
"""Targets of a list that are named."""

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
        return ENGLISH.text(self)

    def filled(self, template: str, shown: Callable[[Value], str]) -> str:
        """A template with the values in its places; a message that is among them is told once."""
        told = set[str]()

        def fill(place: re.Match[str]) -> str:
            value = self.values.get(place[1], place[0])
            if isinstance(value, Message):  # from a record, one within another could be told without end
                if place[1] in told:
                    return place[0]
                told.add(place[1])
            return shown(value)

        # Not str.format: a template from a record must not reach into its values.
        return _PLACE.sub(fill, template)


class Translator:
    """Tells messages in one language. What its catalog lacks is told in English."""

    def __init__(self, tag: str, catalog: NullTranslations) -> None:
        self.tag = tag
        """The language, for HTML."""
        self._catalog = catalog

    def text(self, value: object) -> str:
        """A message in the language, with the messages among its values; numbers as people write them; else `str()`."""
        if isinstance(value, Message):
            return value.filled(self.template(value), self.text)
        if isinstance(value, int):
            return f"{value:,}"
        return f"{value:g}" if isinstance(value, float) else str(value)

    def template(self, message: Message) -> str:
        """The template of a message in the language."""
        if not message.id:  # a catalog has its header there
            return ""
        if message.plural is None:
            return self._catalog.gettext(message.id)
        count = message.values.get("count")
        return self._catalog.ngettext(message.id, message.plural, count if isinstance(count, int) else 2)


@cache
def translator(language: Language) -> Translator:
    """The translator into a language."""
    tag = LANGUAGES[language]
    is_english = language == "en"
    return Translator(tag, NullTranslations() if is_english else translation(DOMAIN, CATALOGS, [tag.replace("-", "_")]))


ENGLISH = translator("en")


def message(template: str, /, **values: Value) -> Message:
    """The message of a template."""
    return Message(template, values)


def plural(one: str, other: str, /, count: int, **values: Value) -> Message:
    """The message of `one` if `count` is 1, else of `other`; both may use `{count}`."""
    return Message(one, {"count": count, **values}, other)


def template(text: str) -> str:
    """Marks a template that a table holds until a message is made of it."""
    return text


def duration(seconds: float) -> Message:
    """Some seconds, as exactly as a person wants to know."""
    if seconds < 10:
        return message("{seconds} s", seconds=f"{seconds:.2f}")
    if seconds < 60:
        return message("{seconds} s", seconds=f"{seconds:.1f}")
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return (
            message("{minutes} min {seconds} s", minutes=minutes, seconds=rest)
            if rest
            else message("{minutes} min", minutes=minutes)
        )
    hours, minutes = divmod(minutes, 60)
    return (
        message("{hours} h {minutes} min", hours=hours, minutes=minutes)
        if minutes
        else message("{hours} h", hours=hours)
    )


def listed(names: Sequence[str], limit: int = NAMED) -> Value:
    """Some names in a line, the first `limit` of them: a batch can have a thousand, a log entry 256 KiB."""
    shown, more = ", ".join(names[:limit]), len(names) - limit
    return message("{names} and {count} more", names=shown, count=more) if more > 0 else shown
