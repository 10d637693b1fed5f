"""Config objects: their names, and the content of each, validated on its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from job.config.faults import WRONG_TYPE, Fault, FaultKind, problems
from job.config.findings import Findings, Place
from job.config.schema import (
    CARD_TYPE,
    CARD_TYPE_NAME,
    ENGINE_CONTROL_MODEL,
    FULL_TARGET,
    LLM_CONFIG_MODEL,
    SIMPLE_TARGETS,
    TICKER,
    CardTypeEntry,
    EngineControl,
    LlmConfig,
    TargetEntry,
)
from job.config.strict_json import WRONG_OBJECT, UnreadableError, parse_object
from job.text.messages import Message, listed, message

T = TypeVar("T")

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
    """Every config object, validated on its own. `planning.targets` checks whether they fit together."""

    tickers: tuple[str, ...] | None
    """`None` if the object is not usable; other objects are not checked against it then."""
    card_types: Mapping[str, bool] | None
    """Every known card type in the order of the object, and whether it is switched on; `None` as above."""
    targets: Mapping[str, list[str] | None] | Sequence[TargetEntry | UnreadableEntry] | None
    """The simple form, with `None` for a ticker whose entry has a fault; the full form; or no usable object."""
    switches: EngineControl
    models: LlmConfig


def read_config(objects: Mapping[str, bytes]) -> tuple[Config, list[Fault], list[Message]]:
    """The config, its faults and its notices. A config with faults may be used only to look for further faults.

    `objects` holds the content of the objects that exist, by name.
    """
    if sum(map(len, objects.values())) > TOTAL_LIMIT:
        what = message("are larger than {count} MiB together", count=TOTAL_LIMIT >> 20)
        fault = Fault(listed(list(objects)), what, message("check that these are the right objects"), FaultKind.OBJECT)
        return Config(None, None, None, EngineControl(), LlmConfig()), [fault], []
    reader = _Reader(objects)
    config = Config(
        tickers=reader.tickers(),
        card_types=reader.card_types(),
        targets=reader.targets(),
        switches=reader.read(ENGINE_CONTROL, ENGINE_CONTROL_MODEL, EngineControl()),
        models=reader.read(LLM_CONFIG, LLM_CONFIG_MODEL, LlmConfig()),
    )
    return config, reader.findings.faults(), reader.findings.notices()


class _Reader:
    """Reads the objects one by one and collects their faults and notices."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self.findings = Findings()
        self._objects = objects

    def tickers(self) -> tuple[str, ...] | None:
        entries = self._entries(Place(TICKER_LIST), self._value(TICKER_LIST), TICKER)
        if entries == []:
            self.findings.fault(Place(TICKER_LIST), message("is empty"), _NEEDED[TICKER_LIST])
        tickers = None if entries is None else _whole(entries)
        return None if tickers is None else tuple(self.findings.unique(tickers, Place(TICKER_LIST)))

    def card_types(self) -> dict[str, bool] | None:
        value, place = self._value(CARD_TYPE_LIST), Place(CARD_TYPE_LIST)
        entries: list[CardTypeEntry | None] | None
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            entries = self._entries(place, value, CARD_TYPE)
        else:
            names = self._entries(place, value, CARD_TYPE_NAME)
            entries = None if names is None else [None if name is None else CardTypeEntry(name=name) for name in names]
        if entries is None:
            return None
        known: dict[str, bool] = {}
        for index, entry in enumerate(entries):
            if entry is not None and known.setdefault(entry.name, entry.enabled) != entry.enabled:
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
        return known

    def targets(self) -> Mapping[str, list[str] | None] | Sequence[TargetEntry | UnreadableEntry] | None:
        value, place = self._value(CARD_TARGETS), Place(CARD_TARGETS)
        if isinstance(value, list | dict) and not value:
            remedy = message(
                "write targets there, or remove the object: every ticker then gets every enabled card type"
            )
            self.findings.fault(place, message("is empty"), remedy)
        if isinstance(value, list):
            entries = self._entries(place, value, FULL_TARGET)
            return [entry or _unreadable(item) for entry, item in zip(entries or (), value, strict=True)]
        if isinstance(value, dict):
            alone = {key: self._checked(place, {key: names}, SIMPLE_TARGETS) for key, names in value.items()}
            return {key: None if target is None else target[key] for key, target in alone.items()}
        return None

    def read(self, name: str, schema: TypeAdapter[T], default: T) -> T:
        """The validated value of an object; `default` if it does not exist or has a fault."""
        value = self._value(name)
        checked = None if value is _ABSENT else self._checked(Place(name), value, schema)
        return default if checked is None else checked

    def _value(self, name: str) -> object:
        """The array or object in a config object; `_ABSENT` if it does not exist or cannot be read."""
        if name in self._objects:
            try:
                value = parse_object(name, self._objects[name])
            except UnreadableError as error:
                self.findings.fault(error.place, error.what, error.remedy)
                return _ABSENT
            if len(value) <= ENTRIES_LIMIT:
                return value
            what = message("has more than {count} entries", count=ENTRIES_LIMIT)
            self.findings.fault(Place(name), what, WRONG_OBJECT)
        elif name in _NEEDED:
            self.findings.fault(Place(name), message("does not exist"), _NEEDED[name])
        return _ABSENT

    def _entries(self, place: Place, value: object, schema: TypeAdapter[T]) -> list[T | None] | None:
        """The entries of an array, with `None` for each that has a fault; `None` if there is no array.

        They are checked one by one, since the faults of all entries at once could exhaust the memory.
        """
        if value is _ABSENT:
            return None
        if not isinstance(value, list):
            self.findings.fault(place, WRONG_TYPE, message("write an array"))
            return None
        return [
            self._checked(Place(place.document, [index], _id_of(item)), item, schema)
            for index, item in enumerate(value)
        ]

    def _checked(self, place: Place, value: object, schema: TypeAdapter[T]) -> T | None:
        parts = value if isinstance(value, dict) and not place.path else {"": value}
        many = [key for key, part in parts.items() if _count(part) > VALUES_LIMIT]
        for key in many:
            where = Place(place.document, [*place.path, *filter(None, [key])], place.id)
            self.findings.fault(where, message("has more than {count} values", count=VALUES_LIMIT), WRONG_OBJECT)
        if many or self.findings.is_full(place.document):
            return None
        try:
            return schema.validate_python(value)
        except ValidationError as error:
            for problem in problems(error):
                self.findings.problem(place, problem)
            return None


def _count(value: object) -> int:
    """How many values there are in it, at any depth."""
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
