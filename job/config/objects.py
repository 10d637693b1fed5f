"""The config objects: which there are, and what each one says by itself."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from job.config.strict_json import UnreadableError, oversized, parse

D = TypeVar("D")


T = TypeVar("T")


TICKER_LIST = "ticker_list.json"


CARD_TYPE_LIST = "card_types.json"


CARD_TARGETS = "card_targets.json"


ENGINE_CONTROL = "engine_control.json"


LLM_CONFIG = "llm_config.json"


FAULTS_LIMIT = 10_000
"""Faults of one object that are told one by one."""


OBJECTS = (TICKER_LIST, CARD_TYPE_LIST, CARD_TARGETS, ENGINE_CONTROL, LLM_CONFIG)


_NEEDED = {
    TICKER_LIST: 'write an array of tickers, such as ["AAPL"], there',
    CARD_TYPE_LIST: 'write an array of card types, such as ["news_card"], there',
}


@dataclass(frozen=True, slots=True)
class UnreadableEntry:
    """An entry of the full form that has a fault of its own."""

    id: str | None
    """Whom it is meant for; `None` where that cannot be told either, so that it may be anyone."""


@dataclass(frozen=True, slots=True)
class Config:
    """Every config object, well-formed; whether they fit together `targets` tells."""

    tickers: tuple[str, ...] | None
    """`None` where the object was not usable, so that nothing is held against it."""
    card_types: Mapping[str, bool] | None
    """Every known card type in the order of the object, and whether it is switched on; `None` as above."""
    targets: Mapping[str, list[str] | None] | Sequence[TargetEntry | UnreadableEntry] | None
    """The simple form, where what a ticker gets is `None` if it has a fault; the full form; or no object to go by."""
    switches: EngineControl
    models: LlmConfig


def read_config(objects: Mapping[str, bytes]) -> tuple[Config, list[Fault], list[str]]:
    """The config, its faults and its notices. With any fault the config serves to look for further ones, not to run.

    `objects` holds the content of those that exist, by their names.
    """
    reader = _Reader(objects)
    config = Config(
        tickers=reader.tickers(),
        card_types=reader.card_types(),
        targets=reader.targets(),
        switches=reader.shape(ENGINE_CONTROL, ENGINE_CONTROL_MODEL, EngineControl()),
        models=reader.shape(LLM_CONFIG, LLM_CONFIG_MODEL, LlmConfig()),
    )
    return config, reader.faults, reader.notices


class _Reader:
    """Reads one object after the other and gathers what there is to say."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self.faults: list[Fault] = []
        self.notices: list[str] = []
        self._values: dict[str, object] = {}
        for name in OBJECTS:
            if name in objects:
                try:
                    self._values[name] = parse(name, objects[name])
                except UnreadableError as error:
                    self.faults.append(error.fault)
            elif name in _NEEDED:
                self.faults.append(Fault(name, "does not exist", _NEEDED[name]))

    def shape(self, name: str, shape: TypeAdapter[T], default: D) -> T | D:
        if name not in self._values:
            return default
        value = self._values[name]
        junk = oversized(value)
        try:
            if junk is None:
                return shape.validate_python(value)
        except ValidationError as error:
            if error.error_count() <= FAULTS_LIMIT:
                self.faults += faults_of(name, error)
                return default
            junk = f"has {error.error_count():,} faults"
        del self._values[name]
        self.faults.append(Fault(name, junk, "write the object that is meant"))
        return default

    def entries(self, name: str, shape: TypeAdapter[list[T]]) -> Sequence[T | None] | None:
        """The entries of an array, `None` in the place of each that has a fault; `None` where it is not usable."""
        entries = self.shape(name, shape, None)
        value = self._values.get(name)
        if entries is not None or not isinstance(value, list):
            return entries
        alone = (_sound(shape, [item]) for item in value)
        return [None if entry is None else entry[0] for entry in alone]

    def tickers(self) -> tuple[str, ...] | None:
        tickers = self.shape(TICKER_LIST, IDS, None)
        if tickers == []:
            self.faults.append(Fault(TICKER_LIST, "is empty", "write the tickers there"))
        return None if tickers is None else tuple(self.unique(TICKER_LIST, tickers))

    def card_types(self) -> dict[str, bool] | None:
        value = self._values.get(CARD_TYPE_LIST)
        entries: Sequence[CardTypeEntry | None] | None
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            entries = self.entries(CARD_TYPE_LIST, CARD_TYPES)
        else:
            names = self.shape(CARD_TYPE_LIST, IDS, None)
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
            return None  # what is not known, or not switched on, may be what could not be read
        if not sound:
            self.faults.append(Fault(CARD_TYPE_LIST, "is empty", "write the card types there"))
        elif not any(entry.enabled for entry in sound):
            self.faults.append(Fault(CARD_TYPE_LIST, "has every card type switched off", "enable one"))
        self.unique(CARD_TYPE_LIST, [entry.name for entry in sound])
        return known

    def targets(self) -> Mapping[str, list[str] | None] | Sequence[TargetEntry | UnreadableEntry] | None:
        value = self._values.get(CARD_TARGETS)
        if isinstance(value, list | dict) and not value:
            remedy = "write targets there, or remove the object: every ticker then gets every enabled card type"
            self.faults.append(Fault(CARD_TARGETS, "is empty", remedy))
        if isinstance(value, list):
            entries = self.entries(CARD_TARGETS, FULL_TARGETS)
            if entries is None:
                return None
            return [entry or _unread(item) for entry, item in zip(entries, value, strict=True)]
        targets = self.shape(CARD_TARGETS, SIMPLE_TARGETS, None)
        value = self._values.get(CARD_TARGETS)
        if targets is not None or not isinstance(value, dict):
            return targets
        alone = {ticker: _sound(SIMPLE_TARGETS, {ticker: names}) for ticker, names in value.items()}
        return {ticker: None if target is None else target[ticker] for ticker, target in alone.items()}

    def unique(self, where: str, items: list[str]) -> list[str]:
        counts = Counter(items)
        self.notices += [f"{where}: {item} is there {n} times; it counts once" for item, n in counts.items() if n > 1]
        return list(counts)


def _sound(shape: TypeAdapter[T], part: object) -> T | None:
    """A part of an object by itself; `None` where it has a fault, which the whole object's faults name."""
    try:
        return shape.validate_python(part)
    except ValidationError:
        return None


def _unread(item: object) -> UnreadableEntry:
    ids = _sound(IDS, [item.get("id")]) if isinstance(item, dict) else None
    return UnreadableEntry(ids[0] if ids else None)
