"""Messages: sentences for people, kept as template and values, and translated when they are shown."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache, reduce
from gettext import NullTranslations, translation
from pathlib import Path
from typing import Literal, Union
from urllib.parse import urlsplit

Language = Literal["en", "zh"]
LANGUAGES: Mapping[Language, str] = {"en": "en", "zh": "zh-CN"}
"""The languages, each with its tag for HTML (BCP 47)."""
CATALOGS = Path(__file__).parent / "locale"
"""The gettext catalogs. `make messages` collects the templates and compiles the catalogs."""
DOMAIN = "job"
NAMED = 10

Value = Union[str, int, float, "Message"]
"""A value in a template: text, a number, or another message, such as the reason of a failure."""

_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence for people, made by `message` or `plural`. `str()` returns it in English."""

    id: str
    """The English template, with placeholders such as `{count}`. It is also the id of the translations."""
    values: Mapping[str, Value] = field(default_factory=dict)
    plural: str | None = None
    """The template if the value `count` is not 1; `None` if there is no plural form."""

    def __str__(self) -> str:
        return ENGLISH.text(self)

    def __hash__(self) -> int:
        return hash((self.id, frozenset(self.values.items()))) if self.values else hash(self.id)

    def filled(self, template: str, shown: Callable[[Value], str], begins_with_words: Callable[[Value], bool]) -> str:
        """The template with its values. One whose name begins with a capital begins a sentence; `continued` is a
        sentence that goes on with another: only an abbreviation keeps its capital there. What does not begin with words
        of ours, but with a URL or an answer, stays as it is.

        This is not str.format: a template from a record must not access attributes of the values.
        """

        def value_of(place: re.Match[str]) -> str:
            value = self.values.get(place[1], place[0])
            text, is_first = shown(value), place[1][:1].isupper()
            if not (is_first or place[1] == "continued") or not begins_with_words(value):
                return text
            if is_first:
                return text[:1].upper() + text[1:]
            return text if text[1:2].isupper() else text[:1].lower() + text[1:]

        return _PLACE.sub(value_of, template)


class Translator:
    """Translates messages into one language. A message that its catalog lacks stays English."""

    def __init__(self, tag: str, catalog: NullTranslations) -> None:
        self.tag = tag
        """The tag of the language, for HTML."""
        self._catalog = catalog

    def text(self, value: object) -> str:
        """A message and the messages in its values, translated; a number, formatted; `str()` of anything else."""
        if isinstance(value, Message):
            return value.filled(self.template(value), self.text, self.begins_with_words)
        if isinstance(value, int):
            return f"{value:,}"
        if isinstance(value, float):
            return f"{value:g}"
        return str(value)

    def begins_with_words(self, value: Value) -> bool:
        """Whether a text begins with words of a message, and not with a value, such as a URL or an answer."""
        if not isinstance(value, Message):
            return False
        place = _PLACE.match(self.template(value))
        return place is None or self.begins_with_words(value.values.get(place[1], ""))

    def template(self, message: Message) -> str:
        if not message.id:  # gettext would return the catalog's header
            return ""
        if message.plural is None:
            return self._catalog.gettext(message.id)
        count = message.values.get("count")
        return self._catalog.ngettext(message.id, message.plural, count if isinstance(count, int) else 2)


@cache
def translator(language: Language) -> Translator:
    tag = LANGUAGES[language]
    is_english = language == "en"
    catalog = NullTranslations() if is_english else translation(DOMAIN, CATALOGS, [tag.replace("-", "_")])
    return Translator(tag, catalog)


ENGLISH = translator("en")


def message(template: str, /, **values: Value) -> Message:
    return Message(template, values)


def plural(singular: str, other: str, /, count: int, **values: Value) -> Message:
    """A message with the template `singular` if `count` is 1, else `other`; both may use `{count}`."""
    return Message(singular, {"count": count, **values}, other)


def template(text: str) -> str:
    """Returns a text unchanged, from which a message is made later: marks it for `make messages`."""
    return text


def duration(seconds: float) -> Message:
    """A duration in whole seconds, for people."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    if not minutes:
        return message("{seconds} s", seconds=rest)
    if minutes < 60:
        return _units(message("{minutes} min", minutes=minutes), message("{seconds} s", seconds=rest) if rest else None)
    hours, minutes = divmod(minutes, 60)
    return _units(message("{hours} h", hours=hours), message("{minutes} min", minutes=minutes) if minutes else None)


def _units(first: Message, second: Message | None) -> Message:
    return first if second is None else Message("{first} {second}", {"first": first, "second": second})


_WEEKDAYS = (
    template("Mon {date}"),
    template("Tue {date}"),
    template("Wed {date}"),
    template("Thu {date}"),
    template("Fri {date}"),
    template("Sat {date}"),
    template("Sun {date}"),
)


def dated(day: str, shown: str | None = None) -> Message:
    """A day, `YYYY-MM-DD`, with its weekday. `shown` is how the date itself is written, if differently."""
    return message(_WEEKDAYS[date.fromisoformat(day).weekday()], date=shown or day)


def dated_time(moment: datetime) -> Message:
    """A date without its year, with its weekday and the time of day."""
    values: dict[str, Value] = {"date": dated(moment.date().isoformat(), f"{moment:%m-%d}"), "time": f"{moment:%H:%M}"}
    return Message("{date} {time}", values)


def said(value: Value) -> Message:
    """A message that is only a value, such as an answer that is quoted."""
    return value if isinstance(value, Message) else Message("{value}", {"value": value})


def colon(before: Value, after: Value) -> Message:
    """A subject, a colon, and what is said of it."""
    return message("{before}: {after}", before=before, after=after)


def at_host(error: Value, url: str) -> Message:
    """An error of the network, and at which host and port. Of the URL nothing else is said: it may hold a secret."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    place = f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    return message("{error} ({place})", error=error, place=place)


def semicolon(first: Value, second: Value) -> Message:
    return message("{first}; {second}", first=first, second=second)


def not_written(name: Value, error: Value) -> Message:
    """That an object could not be written, and why; the `error` need not name it."""
    return message("could not write {object}: {error}", object=name, error=error)


def joined(parts: Sequence[Message]) -> Message:
    """The messages, of which there is at least one, with commas between them."""
    return reduce(lambda first, following: message("{first}, {next}", first=first, next=following), parts)


def listed(names: Sequence[str], limit: int = NAMED, count: int | None = None) -> str | Message:
    """The first names in one line, and the number of further ones: a batch can have a thousand. Only the first may be
    known, of so many.
    """
    shown, more = ", ".join(names[:limit]), (count or len(names)) - limit
    return message("{names} and {count} more", names=shown, count=more) if more > 0 else shown
