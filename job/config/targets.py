"""Targets: combines the config objects into one list of targets, each with its engines and card types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from job.config.faults import Fault
from job.config.findings import TWIN, Findings, Place, alike
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
from job.config.validators import spelling
from job.engines.catalog import DATA_ENGINES, DataEngineName, Kind
from job.text.display import quoted
from job.text.messages import Message, message, template

EQUITIES_DEFAULT = "equities_default"


CARDS_LIMIT = 1_000_000
"""Cards of one day: as many as one process is measured with."""

_PERSONS = {"celebrity", "person", "people"}


@dataclass(frozen=True, slots=True)
class Target:
    """A ticker, topic or person. `engines` prepare its data, and it gets a card of each of `card_types`."""

    id: str
    kind: Kind
    key: str
    """Its name in the news engine."""
    date: str | None
    engines: tuple[DataEngineName, ...]
    card_types: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...] = ()
    """The entry's own query parameters of its cards, sorted: in another order they ask for the same."""


def resolve(config: Config) -> tuple[tuple[Target, ...], list[Fault], list[Message]]:
    """All targets in the order of the objects (tickers first), the faults between the objects, and the notices.

    If an entry could not be read, the targets that it may be for are left out.
    """
    resolver = _Resolver(config)
    given = config.targets or {}
    targets = resolver.simple(given) if isinstance(given, Mapping) else resolver.full(given)
    resolver.check_as_a_whole(targets)
    return tuple(targets), resolver.findings.faults(), resolver.findings.notices()


class _Resolver:
    """Resolves the targets one by one and collects faults and notices."""

    def __init__(self, config: Config) -> None:
        self.findings = Findings()
        self.tickers = config.tickers or ()
        self.known_tickers = None if config.tickers is None else frozenset(config.tickers)
        self.spellings = {spelling(ticker): ticker for ticker in self.tickers}
        given = config.targets or {}
        entries = list(given.values()) if isinstance(given, Mapping) else given
        unread = any(entry is None or isinstance(entry, UnreadableEntry) for entry in entries)
        self.whole = config.tickers is not None and not unread
        """Whether the tickers and all entries could be read; if not, checks that need all targets are skipped."""
        self.card_types = config.card_types
        self.enabled = tuple(name for name, enabled in (config.card_types or {}).items() if enabled)
        self.models = config.models
        on = config.switches
        self.switches = dict(
            zip(DATA_ENGINES, (on.run_financials_engine, on.run_trading_engine, on.run_news_engine), strict=True)
        )

    def simple(self, given: Mapping[str, list[str] | None]) -> list[Target]:
        """Targets of the simple form: a named ticker gets exactly its card types, all others get every enabled one."""
        sound = {ticker: names for ticker, names in given.items() if names is not None}
        for ticker in sound:
            if self.known_tickers is not None and ticker not in self.known_tickers:
                text = template("correct it, add it to {list}, or use the full form for targets beside the tickers")
                twin = self.spellings.get(spelling(ticker))
                place = Place(CARD_TARGETS, [ticker], shown=twin and f"≈ {quoted(twin)}")
                what = message("is not a ticker of {list}", list=TICKER_LIST)
                self.findings.fault(place, what, message(text, list=TICKER_LIST))
        engines = self._engines("equity", None, None)
        chosen: dict[str, list[str]] = {}
        for ticker, names in sound.items():
            if not names:
                remedy = message("name card types, or remove the ticker: it then gets every enabled one")
                self.findings.fault(Place(CARD_TARGETS, [ticker]), message("is empty"), remedy)
            chosen[ticker] = self._chosen(names, Place(CARD_TARGETS, [ticker]))
        return [
            Target(ticker, "equity", ticker, None, engines, tuple(chosen.get(ticker, self.enabled)))
            for ticker in self.tickers
        ]

    def full(self, entries: Sequence[TargetEntry | UnreadableEntry]) -> list[Target]:
        """Targets of the full form: an entry overrides the ticker of the same id; other entries follow the tickers."""
        default_types: Sequence[str] = self.enabled
        default_switches = None
        first = self._firsts(entries)
        if EQUITIES_DEFAULT in first:
            index, entry = first.pop(EQUITIES_DEFAULT)
            self._check_default(index, entry)
            default_switches = entry.run_engines
            if entry.card_types:
                at = Place(CARD_TARGETS, [index, "card_types"], entry.id)
                default_types = tuple(self._chosen(entry.card_types, at))  # one for all tickers
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
            twin = self.spellings.setdefault(spelling(entry.id), entry.id)
            if not listed and twin != entry.id:
                self.findings.notice(Place(CARD_TARGETS, [index], shown=alike(entry.id, twin)), TWIN)
            kind = self._kind(index, entry, listed=listed)
            key = self._topic_key(index, entry, keys) if kind == "topic" else entry.id
            inherits = listed and kind == "equity"
            card_types = default_types if inherits else self.enabled
            if entry.card_types:
                card_types = self._chosen(entry.card_types, Place(CARD_TARGETS, [index, "card_types"], entry.id))
            if inherits and unsure:
                continue  # its engines and cards are not known
            targets[entry.id] = Target(
                id=entry.id,
                kind=kind,
                key=key,
                date=entry.date,
                engines=self._engines(kind, entry.run_engines, default_switches if inherits else None),
                card_types=tuple(card_types),
                parameters=tuple(
                    (name, _parameter(value)) for name, value in sorted((entry.extra_params or {}).items())
                ),
            )
        return list(targets.values())

    def check_as_a_whole(self, targets: Sequence[Target]) -> None:
        count = sum(len(target.card_types) for target in targets)
        if count > CARDS_LIMIT:
            what = message(
                "makes {count} cards with these targets, and {most} is the most", count=count, most=CARDS_LIMIT
            )
            self.findings.fault(Place(CARD_TYPE_LIST), what, message("enable fewer, or name fewer targets"))
        known = self.whole and not self.findings.has_faults
        if known and targets and self.enabled and not any(target.card_types for target in targets):
            remedy = message("enable a card type that it names")
            self.findings.fault(Place(CARD_TARGETS), message("leaves no card to make"), remedy)
        asked = {name for target in targets for name in target.card_types} if known else set()
        for name in self.enabled if known and targets else ():
            if name not in asked:
                text = template("{where}: no target asks for this card type")
                self.findings.notice(Place(CARD_TYPE_LIST, [name]), text)
        for task in self.models.tasks:
            if self.card_types is not None and task not in self.card_types:
                text = template("{where}: is not a card type of {list}; the job does not use it")
                self.findings.notice(Place(LLM_CONFIG, ["tasks", task]), text, list=CARD_TYPE_LIST)
        for engine, on in self.switches.items():
            if not on:
                text = template("{where}: the {engine} engine is switched off")
                self.findings.notice(Place(ENGINE_CONTROL), text, engine=engine)

    def _firsts(self, entries: Sequence[TargetEntry | UnreadableEntry]) -> dict[str, tuple[int, TargetEntry]]:
        """For each id, the index and the value of its first readable entry."""
        first: dict[str, tuple[int, TargetEntry]] = {}
        for index, entry in enumerate(entries):
            if isinstance(entry, UnreadableEntry):
                continue
            earlier = first.setdefault(entry.id, (index, entry))
            if earlier[0] == index:
                continue
            place = Place(CARD_TARGETS, [index], entry.id)
            if earlier[1] == entry:
                self.findings.notice(place, template("{where}: is there already; it counts once"))
            else:
                what = message("is there already, as [{index}], with other content", index=str(earlier[0]))
                self.findings.fault(place, what, message("keep one of the two"))
        return first

    def _check_default(self, index: int, entry: TargetEntry) -> None:
        for key in ("date", "topic_key", "extra_params"):
            if getattr(entry, key) is not None:
                place = Place(CARD_TARGETS, [index, key])
                what = message("has no meaning for {default}", default=EQUITIES_DEFAULT)
                self.findings.fault(place, what, message("remove it"))

    def _chosen(self, names: Sequence[str], place: Place) -> list[str]:
        """The named card types that are switched on."""
        if self.card_types is None or self.findings.is_full(place.document):
            return []
        for index, name in enumerate(names):
            if self.card_types.get(name):
                continue
            at = Place(place.document, [*place.path, index], place.id)
            if name in self.card_types:
                text = template("{where}: {name} is switched off in {list}; it is left out")
                self.findings.notice(at, text, name=name, list=CARD_TYPE_LIST)
            else:
                what = message("{name} is not a card type of {list}", name=quoted(name), list=CARD_TYPE_LIST)
                self.findings.fault(at, what, message("correct it or add it there"))
        return [name for name in self.findings.unique(names, place) if self.card_types.get(name)]

    def _kind(self, index: int, entry: TargetEntry, *, listed: bool) -> Kind:
        if entry.target_type:
            return entry.target_type
        if entry.category is None:
            # Without target_type and category, an entry that overrides a ticker is an equity, any other is a topic.
            if listed:
                return "equity"
            if self.known_tickers is not None:  # else it may be a ticker
                text = template(
                    "{where}: is not a ticker of {list} and has no target_type: it becomes a topic; if it is a ticker, "
                    "add it to {list} and make again what there is of it (--again), else give it a target_type"
                )
                self.findings.notice(Place(CARD_TARGETS, [index], entry.id), text, list=TICKER_LIST)
            return "topic"
        category = entry.category.strip().casefold()
        if category in _PERSONS:
            return "person"
        if category == "equity":
            return "equity"
        if listed:
            text = template(
                "{where}: makes the entry a topic, though its id is a ticker of {list}; "
                "add target_type equity if it is one"
            )
            self.findings.notice(Place(CARD_TARGETS, [index, "category"], entry.id), text, list=TICKER_LIST)
        return "topic"

    def _topic_key(self, index: int, entry: TargetEntry, keys: dict[str, str]) -> str:
        key = entry.topic_key or topic_key(entry.id)
        if self.known_tickers is None and entry.target_type is None and entry.category is None:
            return key  # it may be a ticker
        place = Place(CARD_TARGETS, [index], entry.id)
        if not key:
            self.findings.fault(place, message("the key of the topic comes out empty"), message("give it a topic_key"))
        elif keys.setdefault(key, entry.id) != entry.id:
            what = message("the key {key} of the topic is also that of {other}", key=quoted(key), other=keys[key])
            self.findings.fault(place, what, message("give one of them another topic_key"))
        return key

    def _engines(self, kind: Kind, own: RunEngines | None, inherited: RunEngines | None) -> tuple[DataEngineName, ...]:
        """The target's own switches override inherited ones, and these override engine_control.json."""
        run: dict[DataEngineName, bool] = {}
        for engine in DATA_ENGINES:
            # Financial and trading data exist for equities. Other kinds get them only if `run_engines` says so.
            run[engine] = self.switches[engine] and (kind == "equity" or engine == "news")
            for switches in (inherited, own):
                said = None if switches is None else getattr(switches, _SWITCH[engine])
                run[engine] = run[engine] if said is None else said
        return tuple(engine for engine, on in run.items() if on)


_SWITCH: dict[DataEngineName, str] = {"financial": "financials", "trading": "trading", "news": "news"}


def topic_key(topic: str) -> str:
    """A topic's key as the news engine derives it: lower case, `_` for spaces, no characters but `[a-z0-9_]`."""
    return "".join(char for char in topic.lower().replace(" ", "_") if char in "abcdefghijklmnopqrstuvwxyz0123456789_")


def llm_parameters(models: LlmConfig, card_type: str) -> tuple[tuple[str, str], ...]:
    """The query parameters that choose a card's model.

    A task's entry is completed from the default, but the default's `model_name` is never used with another backend.
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
