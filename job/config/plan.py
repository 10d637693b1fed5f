"""Plan: every call of a run, a pure function of config and settings; and what of it a person names."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from operator import attrgetter

from job.config.environment import AGAIN, WITHOUT
from job.config.faults import Fault, FaultKind
from job.config.objects import (
    CARD_TARGETS,
    CARD_TYPE_LIST,
    EQUITIES_DEFAULT,
    LLM_CONFIG,
    TICKER_LIST,
    WRONG_OBJECT,
    Config,
    Findings,
    LlmChoice,
    LlmConfig,
    Place,
    RunEngines,
    TargetEntry,
)
from job.engines.calls import (
    ALL_ENGINES,
    BATCHES,
    DATA_ENGINES,
    ENGINES,
    TARGET_ENGINES,
    Call,
    EngineName,
    Item,
    Kind,
    card,
    counted,
    for_day,
    news,
)
from job.text.messages import Message, joined, message, plural, template
from job.text.shown import quoted

CARDS_LIMIT = 1_000_000
"""Cards of one day: as many as one process is measured with."""
REQUEST_LIMIT = 8 * 2**10
"""Bytes of a card's path and query, escaped: as many as a common proxy takes."""

_PERSONS = {"celebrity", "person", "people"}


@dataclass(frozen=True, slots=True)
class Target:
    """A ticker, topic or person. `engines` prepare its data, and it gets a card of each of `card_types`."""

    id: str
    kind: Kind
    key: str
    date: str | None
    engines: tuple[EngineName, ...]
    card_types: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...] = ()
    """The entry's own query parameters of its cards, sorted: in another order they ask for the same."""
    is_taken_for_topic: bool = False
    """Whether it is a topic only because nothing says what it is."""


class _Resolver:
    """Finds all targets, tickers first; and the faults between the objects, which may leave some out."""

    def __init__(self, config: Config) -> None:
        self.findings = Findings()
        self.config = config
        self.tickers = frozenset(config.tickers)
        self.enabled = tuple(name for name, is_on in config.card_types.items() if is_on)
        self.switched_on = frozenset(self.enabled)
        self.compared = 0

    def targets(self) -> list[Target]:
        for index, ticker in enumerate(self.config.tickers):
            if ticker in self.config.card_types:
                what = message("is a card type of {list}", list=CARD_TYPE_LIST)
                self.findings.fault(Place(TICKER_LIST, [index], ticker), what, WRONG_OBJECT)
        if self.findings.faults():  # one object is perhaps the other: nothing fits to it then
            return []
        targets = self._resolved()
        if not self.findings.faults():  # else other cards are meant
            self._check_cards(targets)
        return targets

    def _resolved(self) -> list[Target]:
        """An entry overrides the ticker of the same id; other entries follow the tickers."""
        default_types: Sequence[str] = self.enabled
        default_switches = None
        entries = []
        for step, entry in self.config.targets:
            if entry.id != EQUITIES_DEFAULT or isinstance(step, str):  # in the simple form, it is a ticker
                entries.append((step, entry))
                continue
            default_switches = entry.run_engines
            if entry.card_types:
                default_types = self._chosen(step, entry.id, entry.card_types)
        engines, types = self._engines("equity", None, default_switches), tuple(default_types)  # one for all tickers
        targets = {ticker: Target(ticker, "equity", ticker, None, engines, types) for ticker in self.config.tickers}
        keys: dict[str, str] = {}
        for step, entry in entries:
            listed = entry.id in self.tickers
            if isinstance(step, str) and not listed:
                text = template("correct it, add it to {list}, or use the full form for targets beside the tickers")
                place = Place(CARD_TARGETS, [step], shown=self._near(entry.id))
                what = message("is not a ticker of {list}", list=TICKER_LIST)
                self.findings.fault(place, what, message(text, list=TICKER_LIST))
            kind = self._kind(step, entry, listed=listed)
            key = self._topic_key(step, entry, keys) if kind == "topic" else entry.id
            parameters = tuple((name, _parameter(value)) for name, value in sorted((entry.extra_params or {}).items()))
            inherits = listed and kind == "equity"
            card_types = default_types if inherits else self.enabled
            if entry.card_types:
                card_types = self._chosen(step, entry.id, entry.card_types)
            targets[entry.id] = Target(
                id=entry.id,
                kind=kind,
                key=key,
                date=entry.date,
                engines=self._engines(kind, entry.run_engines, default_switches if inherits else None),
                card_types=tuple(card_types),
                parameters=parameters,
                is_taken_for_topic=kind == "topic" and entry.target_type is None and entry.category is None,
            )
        return list(targets.values())

    def _check_cards(self, targets: Sequence[Target]) -> None:
        count = sum(len(target.card_types) for target in targets)
        if count > CARDS_LIMIT:
            what = message(
                "makes {count} cards with these targets, and {most} is the most", count=count, most=CARDS_LIMIT
            )
            self.findings.fault(Place(CARD_TYPE_LIST), what, message("name fewer"))
        if not count:
            remedy = message("enable one, or name one that is enabled")
            self.findings.fault(Place(CARD_TYPE_LIST), message("no target gets an enabled card type"), remedy)
        asked = {name for target in targets for name in target.card_types}
        for name in self.enabled:
            if name not in asked:
                self.findings.notice(Place(CARD_TYPE_LIST, [name]), message("no target asks for this card type"))
        for task in self.config.models.tasks:
            if task not in self.config.card_types:
                what = message("is not a card type of {list}; the job does not use it", list=CARD_TYPE_LIST)
                self.findings.notice(Place(LLM_CONFIG, ["tasks", task]), what)

    def _chosen(self, step: str | int, of: str, names: Sequence[str]) -> list[str]:
        """Those of the card types of an entry that are switched on."""
        place = Place(CARD_TARGETS, [step]) if isinstance(step, str) else Place(CARD_TARGETS, [step, "card_types"], of)
        for index, name in enumerate(names):
            if name in self.switched_on:
                continue
            at = Place(place.document, [*place.path, index], place.id)
            if name in self.config.card_types:
                text = template("{name} is switched off in {list}; no card of it is made")
                self.findings.notice(at, message(text, name=name, list=CARD_TYPE_LIST))
            else:
                what = message("{name} is not a card type of {list}", name=quoted(name), list=CARD_TYPE_LIST)
                self.findings.fault(at, what, message("correct it or add it there"))
        each = self.findings.once(dict(enumerate(names)), str, place)
        return [name for name in each.values() if name in self.switched_on]

    def _kind(self, step: str | int, entry: TargetEntry, *, listed: bool) -> Kind:
        if entry.target_type:
            return entry.target_type
        if entry.category is None:
            # Without target_type and category, an entry that overrides a ticker is an equity, any other is a topic.
            if listed:
                return "equity"
            text = template(
                "is not a ticker of {list} and has no target_type: it becomes a topic; correct it, add it to {list}, "
                "or give it a target_type"
            )
            place = Place(CARD_TARGETS, [step], entry.id, self._near(entry.id))
            self.findings.notice(place, message(text, list=TICKER_LIST))
            return "topic"
        category = entry.category.strip().casefold()
        if category in _PERSONS:
            return "person"
        if category == "equity":
            return "equity"
        if listed:
            text = template("makes a ticker of {list} a topic; if the ticker is meant, add target_type equity")
            place = Place(CARD_TARGETS, [step, "category"], entry.id)
            self.findings.notice(place, message(text, list=TICKER_LIST))
        return "topic"

    def _near(self, name: str) -> str | None:
        """The ticker that a name was probably meant as, as a question; `None` for all but the first names."""
        self.compared += 1
        if self.compared > SUGGESTED:
            return None
        spelled = {ticker.casefold(): ticker for ticker in self.config.tickers[:COMPARED]}
        near = get_close_matches(name.casefold(), spelled, 1)
        return f"{spelled[near[0]]}?" if near else None

    def _topic_key(self, step: str | int, entry: TargetEntry, keys: dict[str, str]) -> str:
        key = entry.topic_key or topic_key(entry.id)
        place = Place(CARD_TARGETS, [step], entry.id)
        if not key:
            self.findings.fault(place, message("its topic key would be empty"), message("give it a topic_key"))
        elif keys.setdefault(key, entry.id) != entry.id:
            what = message("the key {key} of the topic is also that of {other}", key=quoted(key), other=keys[key])
            self.findings.fault(place, what, message("give one of them another topic_key"))
        return key

    def _engines(self, kind: Kind, given: RunEngines | None, default: RunEngines | None) -> tuple[EngineName, ...]:
        """The target's own switches override inherited ones, and these override engine_control.json."""
        run: dict[EngineName, bool] = {}
        for engine in TARGET_ENGINES:
            run[engine] = engine not in self.config.switched_off and is_usual(engine, kind)
            for switches in (default, given):
                said = (switches or {}).get(ENGINES[engine].switch)
                run[engine] = run[engine] if said is None else said
        return tuple(engine for engine, on in run.items() if on)


def is_usual(engine: EngineName, kind: Kind) -> bool:
    """Whether the cards of a kind of targets are made with the data of an engine without `run_engines`."""
    return kind in ENGINES[engine].kinds or engine not in TARGET_ENGINES


def topic_key(topic: str) -> str:
    """A topic's key as the news engine derives it: lower case, `_` for spaces, no characters but `[a-z0-9_]`."""
    return "".join(char for char in topic.lower().replace(" ", "_") if char in "abcdefghijklmnopqrstuvwxyz0123456789_")


_BACKEND, _MODEL = "preferred_llm_backend", "model_name"


def _llm_parameters(choice: LlmChoice) -> dict[str, str]:
    given = {_BACKEND: choice.backend, _MODEL: choice.model_name}
    return {name: value for name, value in given.items() if value is not None}


def _parameter(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


@dataclass(frozen=True)
class Plan:
    targets: tuple[Target, ...]
    models: LlmConfig
    date: str
    """The date of every target that has none of its own."""
    batch_sizes: Mapping[EngineName, int]
    """Of each engine that there is or was: how it is asked, which decides nothing of what is made."""
    left_out: frozenset[str] = frozenset()
    """The targets that this attempt makes no calls for. They are planned all the same."""
    notices: tuple[Message, ...] = ()
    switched_off: tuple[EngineName, ...] = ()
    """The engines that engine_control.json switches off, which may have been left behind."""
    daily: tuple[EngineName, ...] = ()
    """The engines without targets that run: each is called once."""

    @classmethod
    def empty(cls, day: str) -> "Plan":
        return cls((), LlmConfig(), day, {})

    def without(self, names: Collection[str]) -> "Plan":
        return replace(self, left_out=frozenset(names))

    def is_left_out(self, item: Item) -> bool:
        return item.target in self.left_out and item.engine not in self.daily

    def prepares(self, engine: EngineName, target: Target) -> bool:
        return engine in target.engines or engine in self.daily

    @cached_property
    def by_id(self) -> Mapping[str, Target]:
        return {target.id: target for target in self.targets}

    @property
    def size(self) -> Message:
        targets = plural("1 target", "{count} targets", count=len(self.targets))
        return joined([targets, counted("qa", len(self.items("qa")))])

    def engines(self) -> tuple[EngineName, ...]:
        return tuple(engine for engine in ALL_ENGINES if self.items(engine))

    def items_of(self, engine: EngineName, target: Target) -> list[Item]:
        """What is planned for an engine of a target: its cards for qa, or its data, if the engine prepares that."""
        if engine == "qa":
            return [Item(engine, target.id, card_type) for card_type in target.card_types]
        return [Item(engine, target.id, None)] if engine in target.engines else []

    def items(self, engine: EngineName) -> Sequence[Item]:
        return self._items[engine]

    @cached_property
    def _items(self) -> Mapping[EngineName, Sequence[Item]]:
        of_targets: dict[EngineName, list[Item]] = {
            engine: [item for target in self.targets for item in self.items_of(engine, target)]
            for engine in ALL_ENGINES
        }
        return of_targets | {engine: [Item(engine, engine, None)] for engine in self.daily}

    def work(self, engine: EngineName, is_done: Callable[[Item], bool] = lambda _: False) -> list[tuple[Item, ...]]:
        """The items of each call that is left to be made, in order: those that are neither done nor left out.

        Batches are formed before any item is removed, so that every attempt at a day has the same batches.
        """
        items, size = self.items(engine), self.batch_sizes.get(engine, 1)
        batches = (items[start : start + size] for start in range(0, len(items), size))
        left = (tuple(item for item in some if not self.is_left_out(item) and not is_done(item)) for some in batches)
        return [some for some in left if some]

    def call(self, items: Sequence[Item]) -> Call:
        """The call for some work: for several items only if the engine takes batches."""
        engine, name, card_type = items[0]
        if engine in BATCHES:
            return BATCHES[engine]([item.target for item in items])
        if engine in self.daily:
            return for_day(engine, self.date)
        target, date = self.by_id[name], self.date_of(items[0])
        if card_type is None:
            return news(target.id, target.kind, target.key, date)
        return card(target.id, card_type, date, self.parameters(target, card_type).items())

    def calls(self, engine: EngineName) -> Iterator[Call]:
        return map(self.call, self.work(engine))

    @cached_property
    def digest(self) -> str:
        """A digest that is equal for plans which want the same cards for the same day."""
        digest = hashlib.sha256(f"[{json.dumps(self.date)}, [".encode())
        for number, target in enumerate(self.targets):  # one by one: all targets in one string would take 100 MiB
            digest.update(f"{', ' if number else ''}{json.dumps(_values(target))}".encode())
        common = [self.models.model_dump(), *filter(None, [self.daily])]
        digest.update(f"], {json.dumps(common)[1:]}".encode())
        return digest.hexdigest()

    def date_of(self, item: Item) -> str:
        """The date for which an engine is asked about an item; empty for an engine that takes no date."""
        target = None if item.engine in self.daily else self.by_id.get(item.target)
        return "" if item.engine in BATCHES else (target and target.date) or self.date

    def parameters(self, target: Target, card_type: str) -> dict[str, str]:
        """The parameters of a card: the target's own override its type's, and these the default's. A model is not used
        with another backend.
        """
        parameters: dict[str, str] = {}
        of_type = self.models.tasks.get(card_type, LlmChoice())
        for given in (_llm_parameters(self.models.default), _llm_parameters(of_type), dict(target.parameters)):
            if given.get(_BACKEND) not in {None, parameters.get(_BACKEND)}:
                parameters.pop(_MODEL, None)
            parameters |= given
        return parameters


_values = attrgetter("id", "kind", "key", "date", "engines", "card_types", "parameters")
"""What of a target the digest of a plan is of. With one more, every day that is recorded would be of another plan."""


def make_plan(config: Config, day: str, batch_sizes: Mapping[EngineName, int]) -> tuple[Plan, list[Fault]]:
    """The plan of a config, and the faults between its objects. If there are any, the plan must not run."""
    resolver, off = _Resolver(config), config.switched_off
    targets = tuple(resolver.targets())
    notices = (*config.notices, *resolver.findings.notices())
    daily = tuple(name for name in DATA_ENGINES if name not in {*TARGET_ENGINES, *off})
    plan = Plan(targets, config.models, day, batch_sizes, notices=notices, switched_off=off, daily=daily)
    if not resolver.findings.faults():
        _check_requests(plan, config, resolver.findings)
    return plan, resolver.findings.faults()


def _check_requests(plan: Plan, config: Config, findings: Findings) -> None:
    """What an entry adds to the longest request is measured alone: it may have hundreds of cards."""

    def check(place: Place, length: int) -> None:
        if length > REQUEST_LIMIT:
            what = message(
                "makes requests of up to {count} bytes, and {most} is the most", count=length, most=REQUEST_LIMIT
            )
            findings.fault(place, what, message("shorten it"))

    longest = max(plan.targets, key=lambda target: len(card(target.id, "", "", ()).path))
    bare, card_types = replace(longest, parameters=()), {name for one in plan.targets for name in one.card_types}
    most = max(len(card(bare.id, name, plan.date, plan.parameters(bare, name).items()).path) for name in card_types)
    check(Place(LLM_CONFIG), most)
    for step, entry in config.targets:
        if entry.extra_params and entry.id in plan.by_id:
            own = card("", "", "", plan.by_id[entry.id].parameters)
            check(Place(CARD_TARGETS, [step, "extra_params"], entry.id), most + len(own.path))


ALL = "all"
UNCONFIRMED_LIMIT = 20
COMPARED = 2000
"""Maximum number of names that a wrong one is compared with: each takes 10 to 40 µs."""
SUGGESTED = 5
"""Wrong names that are compared, since all of a long list would take seconds."""


def select(plan: Plan, names: Sequence[str], *, is_confirmed: bool) -> tuple[Sequence[Item], list[Fault]]:
    """What these names stand for, in the order of the plan; and a fault for each that the plan lacks.

    `NVDA/news_card` is a card, `/outlook_card` all cards of a type, `NVDA` the data and the cards of a target, `all`
    everything. Many cards need to be confirmed.
    """
    wanted = dict.fromkeys(names, False)  # whether it stands for anything
    selected = []
    for item in (item for engine in ALL_ENGINES for item in plan.items(engine)) if names else ():
        found = [] if plan.is_left_out(item) else [name for name in _names_of(plan, item) if name in wanted]
        if found:
            selected.append(item)
            wanted.update(dict.fromkeys(found, True))
    wrong = [name for name, is_found in wanted.items() if not is_found]
    remedy = message("write NVDA/news_card for a card, /news_card for all of a type, NVDA for a target, or all")
    faults = _faults(AGAIN, template("{name} names nothing that this start makes"), wrong, remedy)
    count = sum(item.engine == "qa" for item in selected)
    if count > UNCONFIRMED_LIMIT and not is_confirmed and not faults:
        what = message("makes {count} cards again, which are paid for again", count=count)
        faults.append(Fault(AGAIN, what, message("add --yes if that is meant"), FaultKind.COMMAND))
    return selected, faults


def _names_of(plan: Plan, item: Item) -> Iterator[str]:
    """Every name that stands for an item, perhaps among others."""
    yield ALL
    if item.engine not in plan.daily:
        yield item.target
    if item.card_type is not None:
        yield f"/{item.card_type}"
        yield f"{item.target}/{item.card_type}"


def left_out_faults(plan: Plan, names: Sequence[str]) -> list[Fault]:
    if not names:
        return []
    ids = dict.fromkeys(target.id for target in plan.targets)
    wrong = [name for name in dict.fromkeys(names) if name not in ids]
    if not wrong and ids.keys() <= set(names):
        return [Fault(WITHOUT, message("leaves nothing to do"), message("name fewer"), FaultKind.COMMAND)]
    remedy = message("write it as the config does")
    return _faults(WITHOUT, template("{name} is no target of the config"), wrong, remedy)


def _faults(option: str, text: str, wrong: Sequence[str], remedy: Message) -> list[Fault]:
    return [Fault(option, message(text, name=quoted(name)), remedy, FaultKind.COMMAND) for name in wrong]
