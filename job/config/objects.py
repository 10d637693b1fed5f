"""Config objects: their names, their schema, and the content of each, validated on its own.

Their forms are those of the engines' own system. They are read as strict JSON: an error says where the text is wrong,
and what to do about a common mistake. Faults and notices are grouped by cause and limited in number.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
from typing import Annotated, Any, Generic, TypeVar

import jiter
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from job.config.faults import WRONG_TYPE, Fault, FaultKind, problems
from job.config.values import Choice, Date, Id, NotName, Parameters, Text, Ticker, spelling
from job.engines.calls import DATA_ENGINES, DataEngineName, Kind
from job.text.messages import Message, Value, colon, listed, message, template
from job.text.shown import quoted

C = TypeVar("C")

CAUSES_LISTED = 20
"""Faults of one object that are listed, and notices as well."""

FAULTS_LIMIT = 1_000
"""Faults of one object after which no further ones are looked for: a million would take 10 s."""

PLACES_NAMED = 3
"""Places of one fault or notice that are named; further ones are only counted."""


@dataclass(frozen=True, slots=True)
class Place:
    document: str
    path: Sequence[str | int] = ()
    id: object = None
    """The id of the entry at the first step of the path, if it has one."""
    shown: str | None = None

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
        self.cut = set[str]()
        """The objects with a cause that is not listed."""
        self.count: Counter[str] = Counter()

    def add(self, cause: C, place: Place) -> None:
        self.count[place.document] += 1
        causes = self._causes.setdefault(place.document, {})
        if len(causes) == CAUSES_LISTED and cause not in causes:
            self.cut.add(place.document)
            return
        places = causes.setdefault(cause, _Places())
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


TWIN = template("{where}: is also listed in another spelling, and both count; keep one if they mean the same")


def alike(item: str, twin: str) -> str:
    """How a place shows an id that also occurs in another spelling."""
    return f"{quoted(item, 40)} ≈ {quoted(twin, 40)}"


class Findings:
    def __init__(self) -> None:
        self._faults = _ByCause[tuple[Message, Message]]()
        self._notices = _ByCause[Message]()

    def is_full(self, document: str) -> bool:
        """Whether so many faults of an object were found that the rest of it need not be checked."""
        return self._faults.count[document] > FAULTS_LIMIT

    def fault(self, place: Place, what: Message, remedy: Message) -> None:
        """Adds a fault. Faults of one object with the same wording are combined."""
        self._faults.add((what, remedy), place)

    def notice(self, place: Place, text: str, /, **values: Value) -> None:
        """Adds a notice; `text` is a template with `{where}`. Equal notices of one object are combined."""
        self._notices.add(Message(text, values), place)

    def unique(self, items: Sequence[str], place: Place) -> list[str]:
        """The items of an array without duplicates. Adds a notice for each duplicate, and for another spelling."""
        spellings = dict[str, str]()
        seen = set[str]()
        for index, item in enumerate(items):
            twin = spellings.setdefault(spelling(item), item)
            if item in seen or twin != item:
                shown = quoted(item, 40) if item in seen else alike(item, twin)
                where = Place(place.document, [*place.path, index], place.id, shown)
                self.notice(where, template("{where}: is listed twice; it counts once") if item in seen else TWIN)
            seen.add(item)
        return list(dict.fromkeys(items))

    def faults(self) -> list[Fault]:
        faults = [Fault(where, what, remedy, FaultKind.OBJECT) for (what, remedy), where in self._faults]
        for document in self._faults.count:
            if document in self._faults.cut or self.is_full(document):
                what = message("has so many faults that not all are listed")
                remedy = message("correct those that are listed first")
                faults.append(Fault(document, what, remedy, FaultKind.OBJECT))
        return faults

    def notices(self) -> list[Message]:
        notices = [Message(notice.id, {"where": where, **notice.values}) for notice, where in self._notices]
        cut = [document for document in self._notices.count if document in self._notices.cut]
        return notices + [message("{object}: further notices are not listed", object=document) for document in cut]


SIZE_LIMIT = 16 * 2**20
"""Bytes of one config object: some 50,000 targets of the full form."""

SIGNS_LIMIT = 1_000_000
"""Commas and opening brackets of one object: one is before each value, which may take 20 times its text's memory."""

WRONG_OBJECT = message("check that this is the right object")

_QUOTES = "'“”„‟‘’‚‛＂＇「」『』«»"
_OTHER_END = re.compile(f'"[^"]*([{_QUOTES[1:]}])[^"]*"?\\Z')
"""A string that begins with a straight quote and probably was meant to end with another one."""
_SIGNS = {"，": ",", "、": ",", "；": ",", "：": ":", "［": "[", "【": "[", "］": "]", "】": "]", "｛": "{", "｝": "}"}
_REACH = 1000
"""Characters before and after the error that are examined."""
_SHOWN = 20
_TWICE = 'Detected duplicate key "'


class UnreadableError(Exception):
    """The document holds no usable value. Has the parts of the fault: what and remedy."""

    def __init__(self, what: Message, remedy: Message) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what, self.remedy = what, remedy


def parse_object(data: bytes) -> list[Any] | dict[str, Any]:
    """The array or object that the document holds, perhaps with infinite numbers. Raises `UnreadableError`."""
    if len(data) > SIZE_LIMIT:
        raise UnreadableError(message("is larger than {count} MiB", count=SIZE_LIMIT >> 20), WRONG_OBJECT)
    data = data.removeprefix(b"\xef\xbb\xbf").rstrip()
    first = data.lstrip()[:1]
    if not first or (first.isascii() and first not in b"[{/#"):
        what = message("is not a JSON array or object; perhaps it is empty, a table, a web page or a workbook")
        raise UnreadableError(what, message('write JSON there, such as ["AAPL", "MSFT"]'))
    try:
        data.decode()
    except UnicodeDecodeError as error:
        what = message("is not UTF-8 at byte {place}", place=str(error.start))
        raise UnreadableError(what, message("save it as UTF-8")) from None
    if sum(map(data.count, (b",", b"[", b"{"))) > SIGNS_LIMIT:
        what = message("has more than {count} commas and brackets", count=SIGNS_LIMIT)
        raise UnreadableError(what, WRONG_OBJECT)
    try:
        value: list[Any] | dict[str, Any] = jiter.from_json(data, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        raise UnreadableError(*_explained(str(error), data)) from None
    return value


def _explained(error: str, data: bytes) -> tuple[Message, Message]:
    """What is wrong at the place where the parser stopped, and the remedy."""
    said, _, place = error.rpartition(" at line ")
    line, column = map(int, place.split(" column "))
    at = sum(map(len, islice(BytesIO(data), line - 1))) + column - (not said.startswith("EOF"))  # in bytes
    before = data[:at].decode(errors="ignore")
    after = data[at : at + _REACH].decode(errors="ignore").partition("\n")[0].rstrip()
    excerpt = f"{' '.join(before[-_REACH:].split())[-_SHOWN:]} ▸ {after[:_SHOWN]}".strip()
    what = message(
        "is not JSON at line {line} column {column} ({text})",
        line=str(before.count("\n") + 1),
        column=str(len(before) - before.rfind("\n")),
        text="".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in excerpt),
    )
    known = _cause(said, before[-_REACH:], after)
    return (colon(what, known[0]), known[1]) if known else (what, message("correct it"))


def _cause(said: str, before: str, after: str) -> tuple[Message, Message] | None:
    start, other_end = after[:1], _OTHER_END.search(before)
    if said.startswith(_TWICE):
        key = quoted(said.removeprefix(_TWICE).removesuffix('"'), 40)
        return message("it has the key {key} twice in one object", key=key), message("keep one of the two")
    if said == "trailing comma":
        return message("it has a comma after the last entry"), message("remove it")
    if after.startswith(("//", "/*", "#")):
        return message("it has a comment"), message("remove it")
    if start in _SIGNS:
        return message("it has the full-width {sign}", sign=start), message("write {text}", text=_SIGNS[start])
    if quote := (start in _QUOTES and start) or (other_end and other_end[1]):
        return message("it has the quote {quote}", quote=quote), message('write straight quotes: "')
    if not after:
        return message("a string or a bracket is not closed"), message("close it")
    if said.startswith("expected `,` or"):
        return message("a comma is missing"), message("add it")
    return None


class StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CardTypeEntry(StrictModel):
    """An entry of the long form of card_types.json."""

    name: Id
    enabled: bool = True


class RunEngines(StrictModel):
    """`run_engines` of one target, which overrides engine_control.json."""

    financials: bool | None = None
    trading: bool | None = None
    news: bool | None = None


class TargetEntry(StrictModel):
    """An entry of the full form of card_targets.json."""

    id: Id
    card_types: list[Id] | None = None
    target_type: Kind | None = None
    category: str | None = None
    date: Date | None = None
    topic_key: Id | None = None
    extra_params: Parameters | None = None
    run_engines: RunEngines | None = None


class EngineControl(StrictModel):
    """engine_control.json: which data engines run."""

    run_financials_engine: bool = True
    run_trading_engine: bool = True
    run_news_engine: bool = True

    @property
    def off(self) -> tuple[DataEngineName, ...]:
        on = (self.run_financials_engine, self.run_trading_engine, self.run_news_engine)
        return tuple(engine for engine, runs in zip(DATA_ENGINES, on, strict=True) if not runs)


class LlmChoice(StrictModel):
    backend: Choice | None = None
    model_name: Choice | None = None


class LlmConfig(StrictModel):
    """llm_config.json: the default LLM, and in `tasks` the LLM of single card types."""

    default: LlmChoice = LlmChoice()
    tasks: dict[Text, LlmChoice] = {}


_STRICT = ConfigDict(strict=True)
TICKER = TypeAdapter[str](Ticker, config=_STRICT)
CARD_TYPE_NAME = TypeAdapter[str](Id, config=_STRICT)
CARD_TYPE = TypeAdapter[CardTypeEntry](Annotated[CardTypeEntry, NotName])
SIMPLE_TARGETS = TypeAdapter(dict[Id, list[Id]], config=_STRICT)

T = TypeVar("T")
M = TypeVar("M", bound=StrictModel)
Validate = Callable[[object], T]

TICKER_LIST = "ticker_list.json"
CARD_TYPE_LIST = "card_types.json"
CARD_TARGETS = "card_targets.json"
ENGINE_CONTROL = "engine_control.json"
LLM_CONFIG = "llm_config.json"

OBJECTS = (TICKER_LIST, CARD_TYPE_LIST, CARD_TARGETS, ENGINE_CONTROL, LLM_CONFIG)

_NEEDED = {
    TICKER_LIST: message('write an array of tickers, such as ["AAPL"], there'),
    CARD_TYPE_LIST: message('write an array of card types, such as ["news_card"], there'),
}

TOTAL_LIMIT = 32 * 2**20
"""Bytes of all config objects together: an attempt's record holds them all."""

ENTRIES_LIMIT = 100_000
"""Entries of an array, or keys of an object."""

VALUES_LIMIT = 20_000
"""Values in what is validated at once. Pydantic makes all its errors, of 1.8 KB each, before anybody can count them."""

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class UnreadableEntry:
    """An entry of the full form that has a fault of its own."""

    id: str | None
    """The target that the entry is for; `None` if its id cannot be read either, so that it may be any target."""


@dataclass(frozen=True, slots=True)
class Config:
    """Every config object, validated on its own. `plan.resolve` checks whether they fit together."""

    tickers: tuple[str, ...] | None
    """`None` if the object is not usable; other objects are not checked against it then."""
    card_types: Mapping[str, CardTypeEntry] | None
    """Every known card type in the order of the object; `None` as above."""
    targets: Mapping[str, list[str] | None] | Sequence[TargetEntry | UnreadableEntry] | None
    """The simple form, with `None` for a ticker whose entry has a fault; the full form; or no usable object."""
    switches: EngineControl
    models: LlmConfig


def parse_config(objects: Mapping[str, bytes]) -> tuple[Config, list[Fault], list[Message]]:
    """The config of the objects that exist, its faults and notices. With faults, it serves to find further ones."""
    if sum(map(len, objects.values())) > TOTAL_LIMIT:
        what = message("are larger than {count} MiB together", count=TOTAL_LIMIT >> 20)
        fault = Fault(listed(list(objects)), what, WRONG_OBJECT, FaultKind.OBJECT)
        return Config(None, None, None, EngineControl(), LlmConfig()), [fault], []
    reader = _Reader(objects)
    config = Config(
        tickers=reader.tickers(),
        card_types=reader.card_types(),
        targets=reader.targets(),
        switches=reader.read(ENGINE_CONTROL, EngineControl),
        models=reader.read(LLM_CONFIG, LlmConfig),
    )
    return config, reader.findings.faults(), reader.findings.notices()


class _Reader:
    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self.findings = Findings()
        self._objects = objects

    def tickers(self) -> tuple[str, ...] | None:
        entries = self._entries(Place(TICKER_LIST), self._value(TICKER_LIST), TICKER.validate_python)
        if entries == []:
            self.findings.fault(Place(TICKER_LIST), message("is empty"), _NEEDED[TICKER_LIST])
        tickers = None if entries is None else _whole(entries)
        return None if tickers is None else tuple(self.findings.unique(tickers, Place(TICKER_LIST)))

    def card_types(self) -> dict[str, CardTypeEntry] | None:
        value, place = self._value(CARD_TYPE_LIST), Place(CARD_TYPE_LIST)
        entries: list[CardTypeEntry | None] | None
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            entries = self._entries(place, value, CARD_TYPE.validate_python)
        else:
            names = self._entries(place, value, CARD_TYPE_NAME.validate_python)
            entries = None if names is None else [None if name is None else CardTypeEntry(name=name) for name in names]
        if entries is None:
            return None
        card_types: dict[str, CardTypeEntry] = {}
        for index, entry in enumerate(entries):
            if entry is not None and card_types.setdefault(entry.name, entry).enabled != entry.enabled:
                where = Place(CARD_TYPE_LIST, [index], entry.name)
                self.findings.fault(where, message("is both switched on and off"), message("keep one of the two"))
        sound = _whole(entries)
        if sound is None:
            return None  # a card type that seems unknown or switched off may be one that could not be read
        if not sound:
            self.findings.fault(place, message("is empty"), _NEEDED[CARD_TYPE_LIST])
        elif not any(entry.enabled for entry in sound):
            self.findings.fault(place, message("has every card type switched off"), message("enable one"))
        self.findings.unique([entry.name for entry in sound], place)
        return card_types

    def targets(self) -> Mapping[str, list[str] | None] | Sequence[TargetEntry | UnreadableEntry] | None:
        value, place = self._value(CARD_TARGETS), Place(CARD_TARGETS)
        if isinstance(value, list | dict) and not value:
            remedy = message(
                "write targets there, or remove the object: every ticker then gets every enabled card type"
            )
            self.findings.fault(place, message("is empty"), remedy)
        if isinstance(value, list):
            entries = self._entries(place, value, TargetEntry.model_validate)
            return [entry or _unreadable(item) for entry, item in zip(entries or (), value, strict=True)]
        if isinstance(value, dict):
            validate = SIMPLE_TARGETS.validate_python
            alone = {key: self._checked(place, {key: names}, validate) for key, names in value.items()}
            return {key: None if target is None else target[key] for key, target in alone.items()}
        return None

    def read(self, name: str, model: type[M]) -> M:
        """The validated value of an object; the default if it does not exist or has a fault."""
        value = self._value(name)
        checked = None if value is _ABSENT else self._checked(Place(name), value, model.model_validate)
        return checked or model()

    def _value(self, name: str) -> object:
        """The array or object in a config object; `_ABSENT` if it does not exist or cannot be read."""
        if name in self._objects:
            try:
                value = parse_object(self._objects[name])
            except UnreadableError as error:
                self.findings.fault(Place(name), error.what, error.remedy)
                return _ABSENT
            if len(value) <= ENTRIES_LIMIT:
                return value
            what = message("has more than {count} values", count=ENTRIES_LIMIT)
            self.findings.fault(Place(name), what, WRONG_OBJECT)
        elif name in _NEEDED:
            self.findings.fault(Place(name), message("does not exist"), _NEEDED[name])
        return _ABSENT

    def _entries(self, place: Place, value: object, validate: Validate[T]) -> list[T | None] | None:
        """The entries of an array, with `None` for each that has a fault: one by one, for the memory's sake."""
        if value is _ABSENT:
            return None
        if not isinstance(value, list):
            self.findings.fault(place, WRONG_TYPE, message("write an array"))
            return None
        return [
            self._checked(Place(place.document, [index], _id_of(item)), item, validate)
            for index, item in enumerate(value)
        ]

    def _checked(self, place: Place, value: object, validate: Validate[T]) -> T | None:
        parts = value if isinstance(value, dict) and not place.path else {"": value}
        many = [key for key, part in parts.items() if _count(part) > VALUES_LIMIT]
        for key in many:
            where = Place(place.document, [*place.path, *filter(None, [key])], place.id)
            self.findings.fault(where, message("has more than {count} values", count=VALUES_LIMIT), WRONG_OBJECT)
        if many or self.findings.is_full(place.document):
            return None
        try:
            return validate(value)
        except ValidationError as error:
            for problem in problems(error):
                where = Place(place.document, (*place.path, *problem.path), place.id, problem.shown)
                self.findings.fault(where, problem.what, problem.remedy)
            return None


def _count(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return len(inner) + sum(map(_count, inner))


def _whole(entries: Sequence[T | None]) -> list[T] | None:
    """The entries, or `None` if one of them could not be read."""
    sound = [entry for entry in entries if entry is not None]
    return sound if len(sound) == len(entries) else None


def _id_of(item: object) -> object:
    return item.get("id", item.get("name")) if isinstance(item, dict) else None


def _unreadable(item: object) -> UnreadableEntry:
    try:
        return UnreadableEntry(CARD_TYPE_NAME.validate_python(_id_of(item)))
    except ValidationError:
        return UnreadableEntry(None)
