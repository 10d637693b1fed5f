"""Findings: the faults and notices of the config objects, grouped by cause and limited in number."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from job.config.faults import Fault, FaultKind, Problem
from job.config.validators import spelling
from job.text.display import quoted
from job.text.messages import Message, Value, colon, message, plural, template

C = TypeVar("C")

CAUSES_LISTED = 100
"""Faults of one object that are listed, and notices as well; further ones are only counted."""

FAULTS_LIMIT = 20_000
"""Faults of one object after which no further ones are looked for: a million would take 10 s."""

PLACES_NAMED = 3
"""Places of one fault or notice that are named; further ones are only counted."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a config object."""

    document: str
    path: Sequence[str | int] = ()
    id: object = None
    """The id of the entry at the first step of the path, if it has one."""
    shown: str | None = None
    """The value at this place, as a fault shows it."""

    def __str__(self) -> str:
        """`[3] ("GC=F").card_types[1]`, `tasks.news_card`, `["BRK.B"][0]`, `[2] (700)`."""
        text = ""
        for depth, step in enumerate(self.path):
            if isinstance(step, int):
                text += f"[{step}]"
            elif _PLAIN_KEY.fullmatch(step):
                text += f".{step}" if text else step
            else:
                text += f"[{quoted(step)}]"
            if depth == 0 and isinstance(self.id, str) and not {"id", "name"}.intersection(self.path[1:2]):
                text += f" ({quoted(self.id, 40)})"
        return text + (f" ({self.shown})" if self.shown and self.path else "")


_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


@dataclass(slots=True)
class _Places:
    named: list[str] = field(default_factory=list)
    count: int = 0


class _ByCause(Generic[C]):
    """The first causes in each object, each with its first places."""

    def __init__(self) -> None:
        self._causes: dict[str, dict[C, _Places]] = {}
        self.more: Counter[str] = Counter()
        """For each object, how many findings have a cause that is not listed."""
        self.count: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self._causes)

    def add(self, cause: C, place: Place) -> None:
        self.count[place.document] += 1
        if self.count[place.document] > FAULTS_LIMIT:
            self.more[place.document] += 1
            return
        causes = self._causes.setdefault(place.document, {})
        places = causes.get(cause)
        if places is None:
            if len(causes) == CAUSES_LISTED:
                self.more[place.document] += 1
                return
            places = causes[cause] = _Places()
        places.count += 1
        if len(places.named) < PLACES_NAMED:
            places.named.append(str(place))

    def __iter__(self) -> Iterator[tuple[C, str | Message]]:
        """Each cause, and its places: object, the first places in it, and the number of further ones."""
        for document, causes in self._causes.items():
            for cause, places in causes.items():
                named = ", ".join(filter(None, places.named))
                where = colon(document, named) if named else document
                if (more := places.count - len(places.named)) > 0:
                    where = message("{names} and {count} more", names=where, count=more)
                yield cause, where


TWIN = template("{where}: is there in another spelling too, and both count; keep one if they mean the same")


def alike(item: str, twin: str) -> str:
    """How a place shows an id that also occurs in another spelling."""
    return f"{quoted(item, 40)} ≈ {quoted(twin, 40)}"


class Findings:
    """Collects the faults and notices of the config objects."""

    def __init__(self) -> None:
        self._faults = _ByCause[tuple[Message, Message]]()
        self._notices = _ByCause[Message]()

    @property
    def has_faults(self) -> bool:
        """Whether any fault was found."""
        return bool(self._faults)

    def is_full(self, document: str) -> bool:
        """Whether so many faults of an object were found that the rest of it need not be checked."""
        return self._faults.count[document] > FAULTS_LIMIT

    def fault(self, place: Place, what: Message, remedy: Message) -> None:
        """Adds a fault. Faults of one object with the same wording are combined."""
        self._faults.add((what, remedy), place)

    def problem(self, place: Place, problem: Problem) -> None:
        """Adds a fault that a validator found at `place`, or below it."""
        path = (*place.path, *problem.path)
        self.fault(Place(place.document, path, place.id, problem.shown), problem.what, problem.remedy)

    def notice(self, place: Place, text: str, /, **values: Value) -> None:
        """Adds a notice; `text` is a template with `{where}`. Equal notices of one object are combined."""
        self._notices.add(Message(text, values), place)

    def unique(self, items: Sequence[str], place: Place) -> list[str]:
        """The items of an array without duplicates. Adds a notice for each duplicate, and for another spelling."""
        known = dict[str, str]()
        seen = set[str]()
        for index, item in enumerate(items):
            twin = known.setdefault(spelling(item), item)
            if item in seen or twin != item:
                shown = quoted(item, 40) if item in seen else alike(item, twin)
                where = Place(place.document, [*place.path, index], place.id, shown)
                self.notice(where, template("{where}: is there already; it counts once") if item in seen else TWIN)
            seen.add(item)
        return list(dict.fromkeys(items))

    def faults(self) -> list[Fault]:
        """All faults, grouped by object."""
        faults = [Fault(where, what, remedy, FaultKind.OBJECT) for (what, remedy), where in self._faults]
        for document, count in self._faults.more.items():
            what = plural("has 1 more fault", "has {count} more faults", count)
            if self.is_full(document):
                what = message("has so many faults that the rest of it was not checked")
            faults.append(Fault(document, what, message("correct those that are listed first"), FaultKind.OBJECT))
        return faults

    def notices(self) -> list[Message]:
        """All notices, grouped by object."""
        notices = [Message(notice.id, {"where": where, **notice.values}) for notice, where in self._notices]
        for document, count in self._notices.more.items():
            notices.append(
                plural(
                    "{object}: 1 more notice is not listed",
                    "{object}: {count} more notices are not listed",
                    count,
                    object=document,
                )
            )
        return notices
