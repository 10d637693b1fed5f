"""The config objects: which ones there are, and what each says by itself."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from job.config.faults import Fault, faults_of, within
from job.config.schema import (
    CARD_TYPES,
    ENGINE_CONTROL_MODEL,
    FULL_TARGETS,
    IDS,
    LLM_CONFIG_MODEL,
    SIMPLE_TARGETS,
    CardTypeEntry,
    EngineControl,
    LlmConfig,
    TargetEntry,
)
from job.config.strict_json import UnreadableError, parse
from job.messages import Message, message, template

T = TypeVar("T")
D = TypeVar("D")

TICKER_LIST = "ticker_list.json"
CARD_TYPE_LIST = "card_types.json"
CARD_TARGETS = "card_targets.json"
ENGINE_CONTROL = "engine_control.json"
LLM_CONFIG = "llm_config.json"

OBJECTS = (TICKER_LIST, CARD_TYPE_LIST, CARD_TARGETS, ENGINE_CONTROL, LLM_CONFIG)

_NEEDED = {
    TICKER_LIST: 'write an array of tickers, such as ["AAPL"], there',
    CARD_TYPE_LIST: 'write an array of card types, such as ["news_card"], there',
}

FAULTS_LIMIT = 10_000
"""Faults of one object that are reported one by one."""


@dataclass(frozen=True, slots=True)
class UnreadableEntry:
    """An entry of the full form that has a fault of its own."""

    id: str | None
    """The target that it is meant for; `None` if that cannot be read either, so that it may be any."""


@dataclass(frozen=True, slots=True)
class Config:
    """Every config object, well-formed. Whether they fit together is for `planning.targets` to judge."""

    tickers: tuple[str, ...] | None
    """`None` if the object is not usable, so that no other object is judged by it."""
    card_types: Mapping[str, bool] | None
    """Every known card type in the order of the object, and whether it is switched on; `None` as above."""
    targets: Mapping[str, list[str] | None] | Sequence[TargetEntry | UnreadableEntry] | None
    """The simple form, with `None` for a ticker whose entry has a fault; the full form; or no usable object."""
    switches: EngineControl
    models: LlmConfig


def read_config(objects: Mapping[str, bytes]) -> tuple[Config, list[Fault], list[Message]]:
    """The config, its faults and its notices: if there are faults, the config serves to look for further ones.

    `objects` holds the content of the objects that exist, by name.
    """
    reader = _Reader(objects)
    config = Config(
        tickers=reader.tickers(),
        card_types=reader.card_types(),
        targets=reader.targets(),
        switches=reader.read(ENGINE_CONTROL, ENGINE_CONTROL_MODEL, EngineControl()),
        models=reader.read(LLM_CONFIG, LLM_CONFIG_MODEL, LlmConfig()),
    )
    return config, reader.faults, reader.notices


class _Reader:
    """Reads one object after the other and gathers faults and notices."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self.faults: list[Fault] = []
        self.notices: list[Message] = []
        self._values: dict[str, object] = {}
        for name in OBJECTS:
            if name in objects:
                try:
                    self._values[name] = parse(name, objects[name])
                except UnreadableError as error:
                    self.faults.append(error.fault)
            elif name in _NEEDED:
                self.faults.append(Fault(name, "does not exist", _NEEDED[name]))

    def tickers(self) -> tuple[str, ...] | None:
        tickers = self.read(TICKER_LIST, IDS, None)
        if tickers == []:
            self.faults.append(Fault(TICKER_LIST, "is empty", "write the tickers there"))
        return None if tickers is None else tuple(self._unique(TICKER_LIST, tickers))

    def card_types(self) -> dict[str, bool] | None:
        value = self._values.get(CARD_TYPE_LIST)
        entries: Sequence[CardTypeEntry | None] | None
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            entries = self._entries(CARD_TYPE_LIST, CARD_TYPES)
        else:
            names = self.read(CARD_TYPE_LIST, IDS, None)
            entries = None if names is None else [CardTypeEntry(name=name) for name in names]
        if entries is None:
            return None
        known: dict[str, bool] = {}
        for index, entry in enumerate(entries):
            if entry is not None and known.setdefault(entry.name, entry.enabled) != entry.enabled:
                where = within(CARD_TYPE_LIST, [index])
                self.faults.append(Fault(where, f"{entry.name} is both switched on and off", "keep one of the two"))
        sound = [entry for entry in entries if entry is not None]
        if len(sound) < len(entries):
            return None  # a card type that seems unknown or switched off may be one that could not be read
        if not sound:
            self.faults.append(Fault(CARD_TYPE_LIST, "is empty", "write the card types there"))
        elif not any(entry.enabled for entry in sound):
            self.faults.append(Fault(CARD_TYPE_LIST, "has every card type switched off", "enable one"))
        self._unique(CARD_TYPE_LIST, [entry.name for entry in sound])
        return known

    def targets(self) -> Mapping[str, list[str] | None] | Sequence[TargetEntry | UnreadableEntry] | None:
        value = self._values.get(CARD_TARGETS)
        if isinstance(value, list | dict) and not value:
            remedy = "write targets there, or remove the object: every ticker then gets every enabled card type"
            self.faults.append(Fault(CARD_TARGETS, "is empty", remedy))
        if isinstance(value, list):
            entries = self._entries(CARD_TARGETS, FULL_TARGETS)
            if entries is None:
                return None
            return [entry or _unreadable(item) for entry, item in zip(entries, value, strict=True)]
        targets = self.read(CARD_TARGETS, SIMPLE_TARGETS, None)
        value = self._values.get(CARD_TARGETS)
        if targets is not None or not isinstance(value, dict):
            return targets
        alone = {ticker: _part(SIMPLE_TARGETS, {ticker: names}) for ticker, names in value.items()}
        return {ticker: None if target is None else target[ticker] for ticker, target in alone.items()}

    def read(self, name: str, schema: TypeAdapter[T], default: D) -> T | D:
        """The value of an object as its schema has it; `default` if it does not exist or has a fault."""
        if name not in self._values:
            return default
        try:
            return schema.validate_python(self._values[name])
        except ValidationError as error:
            count = error.error_count()
            if count <= FAULTS_LIMIT:
                self.faults += faults_of(error, partial(within, name))
            else:
                self.faults.append(Fault(name, f"has {count:,} faults", "write the object that is meant"))
                del self._values[name]  # so that its entries are not read one by one
            return default

    def _entries(self, name: str, schema: TypeAdapter[list[T]]) -> Sequence[T | None] | None:
        """The entries of an array, with `None` for each that has a fault; `None` if the object is not usable."""
        entries = self.read(name, schema, None)
        value = self._values.get(name)
        if entries is not None or not isinstance(value, list):
            return entries
        alone = (_part(schema, [item]) for item in value)
        return [None if entry is None else entry[0] for entry in alone]

    def _unique(self, where: str, items: list[str]) -> list[str]:
        """Each item once, with a notice for those that are there more often."""
        counts = Counter(items)
        text = template("{where}: {item} is there {count} times; it counts once")
        self.notices += [message(text, where=where, item=item, count=n) for item, n in counts.items() if n > 1]
        return list(counts)


def _part(schema: TypeAdapter[T], part: object) -> T | None:
    """A part of an object by itself; `None` if it has a fault, which is among those of the whole object."""
    try:
        return schema.validate_python(part)
    except ValidationError:
        return None


def _unreadable(item: object) -> UnreadableEntry:
    ids = _part(IDS, [item.get("id")]) if isinstance(item, dict) else None
    return UnreadableEntry(ids[0] if ids else None)
