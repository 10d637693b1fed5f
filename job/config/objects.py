"""Config objects: their names, their schema, and the content of each, validated on its own.

Their forms are those of the engines' own system. They are read as strict JSON: an error says where the text is wrong,
and what to do about a common mistake. Faults and notices are grouped by cause and limited in number.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import islice
from typing import Annotated, Any, Generic, TypeVar

import jiter
from pydantic import BaseModel, ConfigDict, GetPydanticSchema, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema

from job.config.faults import WRONG_TYPE, ConfigError, Fault, FaultKind, problems
from job.config.values import Choice, Date, Id, NotName, Parameters, Text, Ticker, spelling
from job.engines.calls import DATA_ENGINES, ENGINES, TARGET_ENGINES, EngineName, Kind
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

    def is_sound(self, document: str) -> bool:
        return not self._faults.count[document]

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


def control_key(engine: EngineName) -> str:
    """Its key in engine_control.json."""
    return f"run_{ENGINES[engine].switch}_engine"


def _switches(keys: Iterable[str], value: CoreSchema) -> GetPydanticSchema:
    """An object with some of these keys. Of each other key there is one fault."""
    fields = {key: core_schema.typed_dict_field(value, required=False) for key in keys}
    return GetPydanticSchema(lambda *_: core_schema.typed_dict_schema(fields, strict=True, extra_behavior="forbid"))


_BOOL = core_schema.bool_schema(strict=True)
RunEngines = Annotated[
    dict[str, bool | None],
    _switches((ENGINES[name].switch for name in TARGET_ENGINES), core_schema.nullable_schema(_BOOL)),
]
"""`run_engines` of one target, which overrides engine_control.json."""
EngineControl = Annotated[dict[str, bool], _switches(map(control_key, DATA_ENGINES), _BOOL)]
"""engine_control.json: which data engines run."""


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
SWITCHES = TypeAdapter(EngineControl, config=_STRICT)
SIMPLE_TARGETS = TypeAdapter(dict[Id, list[Id]], config=_STRICT)

T = TypeVar("T")
Validate = Callable[[object], T]

TICKER_LIST = "ticker_list.json"
CARD_TYPE_LIST = "card_types.json"
CARD_TARGETS = "card_targets.json"
ENGINE_CONTROL = "engine_control.json"
LLM_CONFIG = "llm_config.json"

EQUITIES_DEFAULT = "equities_default"
"""The id of the entry that has the defaults of all tickers."""

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


@dataclass(frozen=True, slots=True)
class Config:
    """The config objects, each sound by itself. `plan.resolve` checks whether they fit together."""

    tickers: tuple[str, ...]
    card_types: Mapping[str, CardTypeEntry]
    """In the order of the object."""
    targets: Mapping[str | int, TargetEntry]
    """Each target once, by its place in the object: a ticker in the simple form, an index in the full one."""
    switched_off: tuple[EngineName, ...]
    models: LlmConfig
    notices: tuple[Message, ...] = ()


def parse_config(objects: Mapping[str, bytes], known: Sequence[Fault] = ()) -> Config:
    """The config of the objects that exist. Raises `ConfigError` if one is not sound: with the `known` faults too."""
    if sum(map(len, objects.values())) > TOTAL_LIMIT:
        what = message("are larger than {count} MiB together", count=TOTAL_LIMIT >> 20)
        raise ConfigError([*known, Fault(listed(list(objects)), what, WRONG_OBJECT, FaultKind.OBJECT)])
    reader = _Reader(objects)
    config = Config(
        tickers=reader.tickers(),
        card_types=reader.card_types(),
        targets=reader.targets(),
        switched_off=reader.switched_off(),
        models=reader.read(LLM_CONFIG, LlmConfig.model_validate) or LlmConfig(),
    )
    if faults := reader.findings.faults():
        raise ConfigError([*known, *faults])
    return replace(config, notices=tuple(reader.findings.notices()))


class _Reader:
    """Reads each object as far as it is sound: what it returns is used only if there is no fault."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self.findings = Findings()
        self._objects = objects

    def tickers(self) -> tuple[str, ...]:
        tickers = self._entries(TICKER_LIST, self._value(TICKER_LIST), TICKER.validate_python)
        return tuple(self.findings.unique(list(tickers.values()), Place(TICKER_LIST)))

    def card_types(self) -> dict[str, CardTypeEntry]:
        value = self._value(CARD_TYPE_LIST)
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            entries = self._entries(CARD_TYPE_LIST, value, CARD_TYPE.validate_python)
        else:
            names = self._entries(CARD_TYPE_LIST, value, CARD_TYPE_NAME.validate_python)
            entries = {index: CardTypeEntry(name=name) for index, name in names.items()}
        card_types: dict[str, CardTypeEntry] = {}
        for index, entry in entries.items():
            if card_types.setdefault(entry.name, entry).enabled != entry.enabled:
                where = Place(CARD_TYPE_LIST, [index], entry.name)
                self.findings.fault(where, message("is both switched on and off"), message("keep one of the two"))
        place = Place(CARD_TYPE_LIST)
        if self.findings.is_sound(CARD_TYPE_LIST) and not any(entry.enabled for entry in entries.values()):
            self.findings.fault(place, message("has every card type switched off"), message("enable one"))
        self.findings.unique([entry.name for entry in entries.values()], place)
        return card_types

    def targets(self) -> Mapping[str | int, TargetEntry]:
        value = self._value(CARD_TARGETS)
        if value is not None and not value:
            remedy = message(
                "write targets there, or remove the object: every ticker then gets every enabled card type"
            )
            self.findings.fault(Place(CARD_TARGETS), message("is empty"), remedy)
        return self._simple(value) if isinstance(value, dict) else self._full(value)

    def _simple(self, value: Mapping[str, object]) -> dict[str | int, TargetEntry]:
        targets: dict[str | int, TargetEntry] = {}
        for ticker, names in value.items():
            alone = self._checked(Place(CARD_TARGETS), {ticker: names}, SIMPLE_TARGETS.validate_python) or {}
            if alone == {ticker: []}:
                remedy = message("name card types, or remove the ticker: it then gets every enabled one")
                self.findings.fault(Place(CARD_TARGETS, [ticker]), message("is empty"), remedy)
            for name, card_types in alone.items():
                targets[name] = TargetEntry(id=name, target_type="equity", card_types=card_types)
        return targets

    def _full(self, value: list[Any] | None) -> dict[str | int, TargetEntry]:
        entries = self._entries(CARD_TARGETS, value, TargetEntry.model_validate)
        first: dict[str, int] = {}
        for index, entry in entries.items():
            earlier = first.setdefault(entry.id, index)
            if earlier == index:
                continue
            place = Place(CARD_TARGETS, [index], entry.id)
            if entries[earlier] == entry:
                self.findings.notice(place, template("{where}: is listed twice; it counts once"))
            else:
                what = message("is also listed as [{index}], with other content", index=str(earlier))
                self.findings.fault(place, what, message("keep one of the two"))
        if EQUITIES_DEFAULT in first:
            index = first[EQUITIES_DEFAULT]
            for key in ("date", "topic_key", "extra_params"):
                if getattr(entries[index], key) is not None:
                    what = message("cannot be set for {default}", default=EQUITIES_DEFAULT)
                    self.findings.fault(Place(CARD_TARGETS, [index, key]), what, message("remove it"))
        return {index: entries[index] for index in first.values()}

    def switched_off(self) -> tuple[EngineName, ...]:
        on = self.read(ENGINE_CONTROL, SWITCHES.validate_python) or {}
        return tuple(name for name in DATA_ENGINES if not on.get(control_key(name), ENGINES[name].is_on))

    def read(self, name: str, validate: Validate[T]) -> T | None:
        """The validated value of an object; `None` if it does not exist or has a fault."""
        value = self._value(name)
        return None if value is None else self._checked(Place(name), value, validate)

    def _value(self, name: str) -> list[Any] | dict[str, Any] | None:
        """The array or object in a config object; `None` if it does not exist or cannot be read."""
        if name in self._objects:
            try:
                value = parse_object(self._objects[name])
            except UnreadableError as error:
                self.findings.fault(Place(name), error.what, error.remedy)
                return None
            if len(value) <= ENTRIES_LIMIT:
                return value
            what = message("has more than {count} values", count=ENTRIES_LIMIT)
            self.findings.fault(Place(name), what, WRONG_OBJECT)
        elif name in _NEEDED:
            self.findings.fault(Place(name), message("does not exist"), _NEEDED[name])
        return None

    def _entries(self, name: str, value: list[Any] | dict[str, Any] | None, validate: Validate[T]) -> dict[int, T]:
        """The sound entries of an array by their index. They are validated one by one, for the memory's sake."""
        if isinstance(value, dict):
            self.findings.fault(Place(name), WRONG_TYPE, message("write an array"))
        elif value == [] and name in _NEEDED:
            self.findings.fault(Place(name), message("is empty"), _NEEDED[name])
        items = value if isinstance(value, list) else ()
        found = ((at, self._checked(Place(name, [at], _id_of(item)), item, validate)) for at, item in enumerate(items))
        return {at: entry for at, entry in found if entry is not None}

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


def _id_of(item: object) -> object:
    return item.get("id", item.get("name")) if isinstance(item, dict) else None
