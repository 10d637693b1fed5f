"""Who gets what: the config objects together, resolved to one list of targets."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from job.config.faults import Fault, within
from job.config.objects import (
    CARD_TARGETS,
    CARD_TYPE_LIST,
    ENGINE_CONTROL,
    LLM_CONFIG,
    TICKER_LIST,
    Config,
    UnreadableEntry,
)
from job.config.schema import LlmConfig, RunEngines, TargetEntry
from job.engines.catalog import DATA_ENGINES, ENGINES, DataEngineName, Kind
from job.messages import Message, message, template
from job.text import quoted

EQUITIES_DEFAULT = "equities_default"


_PERSONS = {"celebrity", "person", "people"}


@dataclass(frozen=True, slots=True)
class Target:
    """What is prepared by `engines` and then shown on cards of `card_types`."""

    id: str
    kind: Kind
    key: str
    """How the news engine knows it."""
    date: str | None
    engines: tuple[DataEngineName, ...]
    card_types: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...] = ()
    """The entry's own query parameters of its cards."""


def resolve(config: Config) -> tuple[tuple[Target, ...], list[Fault], list[Message]]:
    """Every target in the order of the objects (tickers first), the faults between the objects, and the notices.

    Where an entry could not be read, those that it may be meant for are left out.
    """
    resolver = _Resolver(config)
    given = config.targets or {}
    targets = resolver.simple(given) if isinstance(given, Mapping) else resolver.full(given)
    resolver.check_as_a_whole(targets)
    return tuple(targets), resolver.faults, resolver.notices


class _Resolver:
    """Resolves targets one by one and gathers what there is to say."""

    def __init__(self, config: Config) -> None:
        self.faults: list[Fault] = []
        self.notices: list[Message] = []
        self.tickers = config.tickers or ()
        self.known_tickers = None if config.tickers is None else frozenset(config.tickers)
        given = config.targets or {}
        entries = list(given.values()) if isinstance(given, Mapping) else given
        unread = any(entry is None or isinstance(entry, UnreadableEntry) for entry in entries)
        self.whole = config.tickers is not None and not unread
        """Whether the targets are all that is meant; else what cannot be told without the rest is not told."""
        self.card_types = config.card_types
        self.enabled = [name for name, enabled in (config.card_types or {}).items() if enabled]
        self.models = config.models
        on = config.switches
        self.switches = dict(
            zip(DATA_ENGINES, (on.run_financials_engine, on.run_trading_engine, on.run_news_engine), strict=True)
        )

    def simple(self, given: Mapping[str, list[str] | None]) -> list[Target]:
        """A ticker that the object names gets exactly those card types, every other ticker all enabled ones."""
        sound = {ticker: names for ticker, names in given.items() if names is not None}
        for ticker in sound:
            if self.known_tickers is not None and ticker not in self.known_tickers:
                remedy = f"correct it, add it to {TICKER_LIST}, or use the full form for targets beside the tickers"
                self.faults.append(Fault(within(CARD_TARGETS, [ticker]), f"is not a ticker of {TICKER_LIST}", remedy))
        engines = self._engines("equity", None, None)
        chosen: dict[str, list[str]] = {}
        for ticker, names in sound.items():
            if not names:
                remedy = f"name card types, or remove {ticker}: it then gets every enabled one"
                self.faults.append(Fault(within(CARD_TARGETS, [ticker]), "is empty", remedy))
            chosen[ticker] = self._chosen(names, [ticker])
        return [
            Target(ticker, "equity", ticker, None, engines, tuple(chosen.get(ticker, self.enabled)))
            for ticker in self.tickers
        ]

    def full(self, entries: Sequence[TargetEntry | UnreadableEntry]) -> list[Target]:
        """Entries override the tickers of the same id; the others follow the tickers."""
        default_types, default_switches = self.enabled, None
        first = self._firsts(entries)
        if EQUITIES_DEFAULT in first:
            index, entry = first.pop(EQUITIES_DEFAULT)
            self._check_default(index, entry)
            default_switches = entry.run_engines
            if entry.card_types:
                default_types = self._chosen(entry.card_types, [index, "card_types"])
        unread = {entry.id for entry in entries if isinstance(entry, UnreadableEntry)}
        unsure = not unread.isdisjoint({None, EQUITIES_DEFAULT})
        targets = {
            ticker: Target(
                ticker, "equity", ticker, None, self._engines("equity", None, default_switches), tuple(default_types)
            )
            for ticker in self.tickers
            if not unsure and ticker not in unread
        }
        keys: dict[str, str] = {}
        for index, entry in first.values():
            listed = entry.id in (self.known_tickers or ())
            kind = self._kind(index, entry, listed=listed)
            key = self._topic_key(index, entry, keys) if kind == "topic" else entry.id
            if entry.topic_key is not None and kind != "topic":
                where = within(CARD_TARGETS, [index, "topic_key"])
                self.notices.append(message("{where}: {id} is no topic; it is not used", where=where, id=entry.id))
            inherits = listed and kind == "equity"
            if entry.card_types:
                card_types = self._chosen(entry.card_types, [index, "card_types"])
            else:
                card_types = default_types if inherits else self.enabled
            if inherits and unsure:
                continue  # which engines and cards it has is not known
            targets[entry.id] = Target(
                id=entry.id,
                kind=kind,
                key=key,
                date=entry.date,
                engines=self._engines(kind, entry.run_engines, default_switches if inherits else None),
                card_types=tuple(card_types),
                parameters=tuple((name, _parameter(value)) for name, value in (entry.extra_params or {}).items()),
            )
        return list(targets.values())

    def check_as_a_whole(self, targets: Sequence[Target]) -> None:
        known = self.whole and not self.faults
        if known and targets and self.enabled and not any(target.card_types for target in targets):
            self.faults.append(Fault(CARD_TARGETS, "leaves no card to make", "enable a card type that it names"))
        for task in self.models.tasks:
            if self.card_types is not None and task not in self.card_types:
                where = within(LLM_CONFIG, ["tasks", task])
                text = template("{where}: is not a card type of {list}; the job does not use it")
                self.notices.append(message(text, where=where, list=CARD_TYPE_LIST))
        for engine, on in self.switches.items():
            if not on:
                text = template("{object}: the {engine} engine is switched off")
                self.notices.append(message(text, object=ENGINE_CONTROL, engine=ENGINES[engine].word))

    def _firsts(self, entries: Sequence[TargetEntry | UnreadableEntry]) -> dict[str, tuple[int, TargetEntry]]:
        """The first entry of every id that can be read, and where it is."""
        first: dict[str, tuple[int, TargetEntry]] = {}
        for index, entry in enumerate(entries):
            if isinstance(entry, UnreadableEntry):
                continue
            earlier = first.setdefault(entry.id, (index, entry))
            if earlier[0] == index:
                continue
            if earlier[1] == entry:
                where = within(CARD_TARGETS, [index])
                self.notices.append(message("{where}: {id} is there already; it counts once", where=where, id=entry.id))
            else:
                what = f"{entry.id} is there already, as [{earlier[0]}], with other content"
                self.faults.append(Fault(within(CARD_TARGETS, [index, "id"]), what, "keep one of the two"))
        return first

    def _check_default(self, index: int, entry: TargetEntry) -> None:
        for key in ("date", "topic_key", "extra_params"):
            if getattr(entry, key) is not None:
                where = within(CARD_TARGETS, [index, key])
                self.faults.append(Fault(where, f"has no meaning for {EQUITIES_DEFAULT}", "remove it"))

    def _chosen(self, names: Sequence[str], path: Sequence[str | int]) -> list[str]:
        """Those of the named card types that are switched on."""
        if self.card_types is None:
            return []
        for index, name in enumerate(names):
            where = within(CARD_TARGETS, [*path, index])
            if name not in self.card_types:
                what = f"{quoted(name)} is not a card type of {CARD_TYPE_LIST}"
                self.faults.append(Fault(where, what, "correct it or add it there"))
            elif not self.card_types[name]:
                text = template("{where}: {name} is switched off in {list}; it is left out")
                self.notices.append(message(text, where=where, name=name, list=CARD_TYPE_LIST))
        for name, times in Counter(names).items():
            if times > 1:
                text = template("{where}: {item} is there {count} times; it counts once")
                where = within(CARD_TARGETS, path)
                self.notices.append(message(text, where=where, item=name, count=times))
        return [name for name in dict.fromkeys(names) if self.card_types.get(name)]

    def _kind(self, index: int, entry: TargetEntry, *, listed: bool) -> Kind:
        if entry.target_type:
            return entry.target_type
        if entry.category is None:
            # An override of a ticker stays a ticker: only what says nothing and is no ticker is a topic.
            return "equity" if listed else "topic"
        category = entry.category.strip().casefold()
        if category in _PERSONS:
            return "person"
        if category == "equity":
            return "equity"
        if listed:
            where = within(CARD_TARGETS, [index, "category"])
            text = template(
                "{where}: makes {id} a topic, though it is a ticker of {list}; add target_type equity if it is one"
            )
            self.notices.append(message(text, where=where, id=entry.id, list=TICKER_LIST))
        return "topic"

    def _topic_key(self, index: int, entry: TargetEntry, keys: dict[str, str]) -> str:
        key = entry.topic_key or topic_key(entry.id)
        if self.known_tickers is None and entry.target_type is None and entry.category is None:
            return key  # it may be a ticker
        where = within(CARD_TARGETS, [index])
        if not key:
            self.faults.append(Fault(where, f"the key of the topic {entry.id} comes out empty", "give it a topic_key"))
        elif keys.setdefault(key, entry.id) != entry.id:
            what = f"the key {quoted(key)} of the topic {entry.id} is also that of {keys[key]}"
            self.faults.append(Fault(where, what, "give one of them another topic_key"))
        return key

    def _engines(self, kind: Kind, own: RunEngines | None, inherited: RunEngines | None) -> tuple[DataEngineName, ...]:
        """What the target says itself, else what its kind inherits, else engine_control.json."""
        run: dict[DataEngineName, bool] = {}
        for engine in DATA_ENGINES:
            # Financial and trading data are those of equities: the other kinds are sent there only on demand.
            run[engine] = self.switches[engine] and (kind == "equity" or engine == "news")
            for switches in (inherited, own):
                said = None if switches is None else getattr(switches, _SWITCH[engine])
                run[engine] = run[engine] if said is None else said
        return tuple(engine for engine, on in run.items() if on)


_SWITCH: dict[DataEngineName, str] = {"financial": "financials", "trading": "trading", "news": "news"}


def topic_key(topic: str) -> str:
    """How the news engine derives a topic's key: lower case, `_` for spaces, nothing outside `[a-z0-9_]`."""
    return "".join(char for char in topic.lower().replace(" ", "_") if char in "abcdefghijklmnopqrstuvwxyz0123456789_")


def llm_parameters(models: LlmConfig, card_type: str) -> tuple[tuple[str, str], ...]:
    """The query parameters that choose a card's model.

    A task's entry is completed from the default, but a `model_name` never crosses to another backend.
    """
    task = models.tasks.get(card_type)
    backend, model_name = models.default.backend, models.default.model_name
    if task is not None:
        if task.backend not in {None, backend}:
            backend, model_name = task.backend, None
        model_name = task.model_name or model_name
    given = (("preferred_llm_backend", backend), ("model_name", model_name))
    return tuple((name, value) for name, value in given if value is not None)


def _parameter(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)
