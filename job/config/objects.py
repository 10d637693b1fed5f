"""Config objects: their names, their schema, and the content of each, validated on its own."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import islice
from operator import attrgetter
from typing import Annotated, Any, TypeVar

import jiter
from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter, ValidationError

from job.config.faults import NOT_ONE_OF, WRITE_ONE, WRONG_TYPE, ConfigError, Fault, FaultKind, InvalidError, problems
from job.config.values import Date, Id, Parameter, Scalar, Text, Ticker, only
from job.engines.calls import DATA_ENGINES, ENGINES, TARGET_ENGINES, EngineName, Kind
from job.text.messages import Message, colon, listed, message
from job.text.shown import quoted

T = TypeVar("T")

CAUSES_LISTED = 20
"""Faults of one object that are listed, and notices as well."""

PLACES_NAMED = 3
"""Places of one fault or notice that are named; further ones are only counted."""


@dataclass(frozen=True, slots=True)
class Place:
    document: str
    path: Sequence[str | int] = ()
    id: object = None
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

_Cause = tuple[Message, ...]
_Found = defaultdict[str, dict[_Cause, list[Place]]]
"""By the object: the first causes, and one more if there are others."""


class Findings:
    """The faults and notices of the objects. Those of one object with the same wording are combined."""

    def __init__(self) -> None:
        self._faults: _Found = defaultdict(dict)
        self._notices: _Found = defaultdict(dict)

    def fault(self, place: Place, what: Message, remedy: Message) -> None:
        _add(self._faults, place, (what, remedy))

    def notice(self, place: Place, what: Message) -> None:
        _add(self._notices, place, (what,))

    def once(self, items: Mapping[int, T], name: Callable[[T], str], place: Place) -> dict[int, T]:
        """The items of an array by their index, each once: twice is odd, and with other content it is a fault."""
        first: dict[str, int] = {}
        for index, item in items.items():
            earlier = first.setdefault(name(item), index)
            if earlier == index:
                continue
            where = Place(place.document, [*place.path, index], place.id, quoted(name(item), 40))
            if items[earlier] == item:
                self.notice(where, message("is listed twice; it counts once"))
            else:
                what = message("is also listed as [{index}], with other content", index=str(earlier))
                self.fault(where, what, message("keep one of the two"))
        return {index: items[index] for index in first.values()}

    def faults(self) -> list[Fault]:
        more = message("has so many faults that not all are listed"), message("correct those that are listed first")
        return [Fault(where, what, remedy, FaultKind.OBJECT) for where, (what, remedy) in _listed(self._faults, more)]

    def notices(self) -> list[Message]:
        return [colon(where, what) for where, (what,) in _listed(self._notices, (message("has further notices"),))]


def _add(found: _Found, place: Place, cause: _Cause) -> None:
    causes = found[place.document]
    if cause in causes or len(causes) <= CAUSES_LISTED:
        causes.setdefault(cause, []).append(place)


def _listed(found: _Found, more: _Cause) -> Iterator[tuple[str | Message, _Cause]]:
    """Of each object the first causes, each behind its places; and `more` if there are others."""
    for document, causes in found.items():
        for cause, places in islice(causes.items(), CAUSES_LISTED):
            shown = [str(place) for place in places]
            yield (colon(document, listed(shown, PLACES_NAMED)) if any(shown) else document), cause
        if len(causes) > CAUSES_LISTED:
            yield document, more


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


def parse_object(data: bytes) -> list[Any] | dict[str, Any]:
    """The array or object that the document holds, perhaps with infinite numbers. Raises `InvalidError`."""
    if len(data) > SIZE_LIMIT:
        raise InvalidError(message("is larger than {count} MiB", count=SIZE_LIMIT >> 20), WRONG_OBJECT)
    data = data.removeprefix(b"\xef\xbb\xbf").rstrip()
    first = data.lstrip()[:1]
    if not first or (first.isascii() and first not in b"[{/#"):
        what = message("is not a JSON array or object; perhaps it is empty, a table, a web page or a workbook")
        raise InvalidError(what, message('write JSON there, such as ["AAPL", "MSFT"]'))
    try:
        data.decode()
    except UnicodeDecodeError as error:
        what = message("is not UTF-8 at byte {place}", place=str(error.start))
        raise InvalidError(what, message("save it as UTF-8")) from None
    if sum(map(data.count, (b",", b"[", b"{"))) > SIGNS_LIMIT:
        what = message("has more than {count} commas and brackets", count=SIGNS_LIMIT)
        raise InvalidError(what, WRONG_OBJECT)
    try:
        value: list[Any] | dict[str, Any] = jiter.from_json(data, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        raise InvalidError(*_explained(str(error), data)) from None
    return value


def _explained(error: str, data: bytes) -> tuple[Message, Message]:
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
    name: Id
    enabled: bool = True


def control_key(engine: EngineName) -> str:
    """Its key in engine_control.json."""
    return f"run_{ENGINES[engine].switch}_engine"


def _one_of(names: Iterable[str]) -> AfterValidator:
    known = tuple(names)
    return only(lambda name: name in known, message(NOT_ONE_OF, expected=", ".join(known)), WRITE_ONE)


RunEngines = dict[Annotated[str, _one_of(ENGINES[name].switch for name in TARGET_ENGINES)], bool | None]
"""`run_engines` of one target, which overrides engine_control.json."""
EngineControl = dict[Annotated[str, _one_of(map(control_key, DATA_ENGINES))], bool]
"""engine_control.json: which data engines run."""


class TargetEntry(StrictModel):
    """An entry of the full form of card_targets.json."""

    id: Id
    card_types: list[Id] | None = None
    target_type: Kind | None = None
    category: str | None = None
    date: Date | None = None
    topic_key: Id | None = None
    extra_params: dict[Parameter, Scalar] | None = None
    run_engines: RunEngines | None = None


class LlmChoice(StrictModel):
    backend: Text | None = None
    model_name: Text | None = None


class LlmConfig(StrictModel):
    """llm_config.json: the default LLM, and in `tasks` the LLM of single card types."""

    default: LlmChoice = LlmChoice()
    tasks: dict[Text, LlmChoice] = {}


_STRICT = ConfigDict(strict=True)
TICKER = TypeAdapter[str](Ticker, config=_STRICT)
CARD_TYPE_NAME = TypeAdapter[str](Id, config=_STRICT)
CARD_TYPES = TypeAdapter(list[Id], config=_STRICT)
SWITCHES = TypeAdapter(EngineControl, config=_STRICT)

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
_FILLED = _NEEDED | {
    CARD_TARGETS: message("write targets there, or remove the object: every ticker then gets every enabled card type"),
}

VALUES_LIMIT = 20_000
"""Values in what is validated at once. Pydantic makes all its errors, of 1.8 KB each, before anybody can count them."""


ENTRIES_LIMIT = 100_000
"""Entries of an array, or keys of an object."""


@dataclass(frozen=True, slots=True)
class Config:
    """The config objects, each sound by itself. `make_plan` checks whether they fit together."""

    tickers: tuple[str, ...]
    card_types: Mapping[str, bool]
    """Whether each is switched on, in the order of the object."""
    targets: Sequence[tuple[str | int, TargetEntry]]
    """Each target once, behind its place in the object: a ticker in the simple form, an index in the full one."""
    switched_off: tuple[EngineName, ...]
    models: LlmConfig
    notices: tuple[Message, ...] = ()


def parse_config(objects: Mapping[str, bytes], known: Sequence[Fault] = ()) -> Config:
    """The config of the objects that exist. Raises `ConfigError` if one is not sound: with the `known` faults too."""
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
        return tuple(self.findings.once(tickers, str, Place(TICKER_LIST)).values())

    def card_types(self) -> dict[str, bool]:
        value = self._value(CARD_TYPE_LIST)
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            entries = self._entries(CARD_TYPE_LIST, value, CardTypeEntry.model_validate)
        else:
            names = self._entries(CARD_TYPE_LIST, value, CARD_TYPE_NAME.validate_python)
            entries = {index: CardTypeEntry(name=name) for index, name in names.items()}
        each = self.findings.once(entries, attrgetter("name"), Place(CARD_TYPE_LIST))
        return {entry.name: entry.enabled for entry in each.values()}

    def targets(self) -> Sequence[tuple[str | int, TargetEntry]]:
        value = self._value(CARD_TARGETS)
        return self._simple(value) if isinstance(value, dict) else self._full(value)

    def _simple(self, value: Mapping[str, object]) -> Sequence[tuple[str, TargetEntry]]:
        targets = []
        for ticker, names in value.items():
            place = Place(CARD_TARGETS, [ticker])
            name = self._checked(place, ticker, CARD_TYPE_NAME.validate_python)
            card_types = self._checked(place, names, CARD_TYPES.validate_python)
            if card_types == []:
                remedy = message("name card types, or remove the ticker: it then gets every enabled one")
                self.findings.fault(place, message("is empty"), remedy)
            elif name is not None and card_types is not None:
                targets.append((name, TargetEntry(id=name, target_type="equity", card_types=card_types)))
        return targets

    def _full(self, value: list[Any] | None) -> Sequence[tuple[int, TargetEntry]]:
        entries = self._entries(CARD_TARGETS, value, TargetEntry.model_validate)
        each = self.findings.once(entries, attrgetter("id"), Place(CARD_TARGETS))
        what, remedy = message("cannot be set for {default}", default=EQUITIES_DEFAULT), message("remove it")
        for index, entry in each.items():
            for key in ("date", "topic_key", "extra_params") if entry.id == EQUITIES_DEFAULT else ():
                if getattr(entry, key) is not None:
                    self.findings.fault(Place(CARD_TARGETS, [index, key]), what, remedy)
        return [*each.items()]

    def switched_off(self) -> tuple[EngineName, ...]:
        on = self.read(ENGINE_CONTROL, SWITCHES.validate_python) or {}
        return tuple(name for name in DATA_ENGINES if not on.get(control_key(name), ENGINES[name].is_on))

    def read(self, name: str, validate: Validate[T]) -> T | None:
        value = self._value(name)
        return None if value is None else self._checked(Place(name), value, validate)

    def _value(self, name: str) -> list[Any] | dict[str, Any] | None:
        """The array or object in a config object; `None` if it does not exist or cannot be read."""
        if name in self._objects:
            try:
                value = parse_object(self._objects[name])
            except InvalidError as error:
                self.findings.fault(Place(name), error.what, error.remedy)
                return None
            if not value and name in _FILLED:
                self.findings.fault(Place(name), message("is empty"), _FILLED[name])
                return None
            if len(value) <= ENTRIES_LIMIT:
                return value
            what = message("has more than {count} values", count=ENTRIES_LIMIT)
            self.findings.fault(Place(name), what, WRONG_OBJECT)
            return None
        if name in _NEEDED:
            self.findings.fault(Place(name), message("does not exist"), _NEEDED[name])
        return None

    def _entries(self, name: str, value: list[Any] | dict[str, Any] | None, validate: Validate[T]) -> dict[int, T]:
        """The sound entries of an array by their index. They are validated one by one, for the memory's sake."""
        if isinstance(value, dict):
            self.findings.fault(Place(name), WRONG_TYPE, message("write an array"))
        items = value if isinstance(value, list) else ()
        found = ((at, self._checked(Place(name, [at], _id_of(item)), item, validate)) for at, item in enumerate(items))
        return {at: entry for at, entry in found if entry is not None}

    def _checked(self, place: Place, value: object, validate: Validate[T]) -> T | None:
        if _count(value) > VALUES_LIMIT:
            self.findings.fault(place, message("has more than {count} values", count=VALUES_LIMIT), WRONG_OBJECT)
            return None
        try:
            return validate(value)
        except ValidationError as error:
            for path, found in problems(error):
                where = Place(place.document, [*place.path, *path], place.id, found.shown)
                self.findings.fault(where, found.what, found.remedy)
            return None


def _count(value: object) -> int:
    inner = [*value.values()] if isinstance(value, dict) else value
    return len(inner) + sum(map(_count, inner)) if isinstance(inner, list) else 0


def _id_of(item: object) -> object:
    return item.get("id", item.get("name")) if isinstance(item, dict) else None
