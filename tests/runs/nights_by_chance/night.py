"""What is drawn of a night: its cards, what goes wrong at the engines, and its starts. A seed draws the same again."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from signal import SIGINT, SIGKILL, SIGTERM, Signals
from typing import NamedTuple

from job.engines.calls import TARGET_ENGINES

Item = tuple[str, str | None]
"""A target, and its card type if it is a card."""

REFUSAL = "422"
ENGINE_FAILS = ["500", "502", "503", "lost", "hang", "401", "403", "404", "409", "429", "failed"]
"""What an engine may answer for a while, or to an item for good: statuses, a lost connection, no answer, a 2xx."""
SIGNALS = [SIGKILL, SIGKILL, SIGTERM, SIGINT]
VERBS = ["create", "create", "replace", "read", "delete", "names", "all", "lost"]
"""What storage may refuse for a while; with `lost`, it does what is written, and does not say so."""


class Outage(NamedTuple):
    """In seconds since the engine's first request in a start that is not quiet."""

    begin: float
    end: float
    mode: str
    share: float = 1.0
    """Of the requests that it strikes."""
    cuts: bool = False
    """Whether it strikes what is in flight as it begins."""


class Blow(NamedTuple):
    """A signal for a start: so many requests after it has begun, and so many seconds after that."""

    signal: Signals
    requests: int
    seconds: float


@dataclass
class Start:
    """One start of the job."""

    after: float | None = None
    """Seconds since the one before began; by default it begins when all before have ended."""
    blow: Blow | None = None
    retry_after: float | None = None
    """Seconds after which Cloud Run starts it once more if it fails; `None` if it does not."""
    absent: list[str] = field(default_factory=list)
    """Targets that its config lacks, and card types that it has switched off."""
    model: str = "small"
    without: list[str] = field(default_factory=list)
    again: list[Item] = field(default_factory=list)
    """What a person asks for by name: cards, and whole targets, whose card type is `None`."""
    is_quiet: bool = False
    """Nothing goes wrong in it."""

    @property
    def arguments(self) -> list[str]:
        again = [target if card_type is None else f"{target}/{card_type}" for target, card_type in self.again]
        return [*(f"--without={name}" for name in self.without), *(["--yes", "--again", *again] if again else [])]


@dataclass
class Night:
    """All that is drawn. By default nothing goes wrong."""

    kind: str
    seed: int
    size: int
    """How many cards may be in flight."""
    targets: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    seconds: float = 10.0
    spread: float = 0.0
    """Of the time that a call takes: the sigma of its logarithm."""
    fails_after: float = 0.0
    """How long it takes an engine to fail."""
    starts: list[Start] = field(default_factory=lambda: [Start()])
    variables: dict[str, str] = field(default_factory=dict)
    bad: dict[str, dict[Item, str]] = field(default_factory=dict)
    """By engine: what always fails, and how."""
    outages: dict[str, list[Outage]] = field(default_factory=dict)
    """By engine. Those of storage run since the night began; a right that is lost for a while is one."""

    @property
    def cards(self) -> list[Item]:
        return [*product(self.targets, self.types)]


def draw(kind: str, seed: int, size: int, scale: float = 1.0) -> Night:
    """Draws a night. `scale` is that of its number of cards."""
    r = random.Random(f"{kind} {size} {seed}")
    night = Night(kind, seed, size)
    night.types = [f"c{number}" for number in range(r.choice([1, 2, 3, 5]))]
    cards = scale * r.choice([16, 30, 60]) + (2 * size if size > 4 else 0)
    night.targets = [f"T{number:03}" for number in range(max(2, round(cards / len(night.types))))]
    night.seconds, night.spread, night.fails_after = r.choice([2, 10, 30]), r.choice([0, 0.5]), r.choice([0, 0, 5])
    night.variables["QA_ENGINE_CONCURRENCY"] = f"{size}"
    KINDS[kind](night, r)
    return night


# --- what goes wrong ---


def _is_sometimes(r: random.Random) -> bool:
    return r.random() < 0.3


def _short_outages(r: random.Random, most: int = 3) -> Iterator[Outage]:
    """So many, each shorter than the patience."""
    begin = r.choice([0.0, r.uniform(0, 60), r.uniform(0, 400)])
    for _ in range(r.choice([1, 1, 2, 3][: most + 1])):
        end = begin + r.choice([1.0, 20.0, 90.0, 300.0, 540.0]) * r.uniform(0.9, 1.0)
        yield Outage(begin, end, r.choice(ENGINE_FAILS), r.choice([1.0, 1.0, 1.0, 0.7, 0.3]), _is_sometimes(r))
        begin = end + r.choice([r.uniform(5, 60), r.uniform(60, 300), r.uniform(300, 1500)])


def _bad_cards(night: Night, r: random.Random, *, is_in_row: bool) -> dict[Item, str]:
    """Targets, types or cards, 10 to 80 % of them: the first, middle or last ones, or scattered.

    Of what hangs it is 40 % at most: of 80 %, eight in a row hang in every sixth night, and then QA counts as down.
    """
    bad: dict[Item, str] = {}
    for part in r.choice([[slice(1)], [slice(1, 2)], [slice(2)], [slice(1), slice(1, 2)]]):
        modes = r.choice([[r.choice(ENGINE_FAILS)], [*ENGINE_FAILS, REFUSAL]])
        share = r.choice([0.1, 0.2, 0.4] if modes == ["hang"] else [0.1, 0.2, 0.4, 0.6, 0.8])
        units = [*dict.fromkeys(card[part] for card in night.cards)]
        count = min(len(units) - 1, max(1, round(share * len(units))))
        first = r.choice([0, 0, (len(units) - count) // 2, len(units) - count])
        some = units[first : first + count] if is_in_row else r.sample(units, count)
        mode = {unit: r.choice(modes) for unit in some}
        bad |= {card: mode[card[part]] for card in night.cards if card[part] in mode}
    return bad


# --- the kinds of nights: each changes one in which nothing goes wrong ---


def _outage(night: Night, r: random.Random) -> None:
    """Of one engine; with another, three paid tries could lose a card."""
    night.outages[r.choice(["qa", "qa", *TARGET_ENGINES])] = [*_short_outages(r, 1)]
    if _is_sometimes(r):
        _bad(night, r)


def _bad(night: Night, r: random.Random) -> None:
    night.bad["qa"] = _bad_cards(night, r, is_in_row=r.random() < 0.5)


def _several(night: Night, r: random.Random, events: Sequence[str]) -> None:
    """Several starts to which such things happen. Then nothing goes wrong: one makes the rest, and one has none."""
    night.seconds = r.choice([0.3, 2, 10, 30])
    if r.random() < 0.5:
        engine = r.choice(["qa", "qa", *TARGET_ENGINES])
        night.outages[engine] = [*_short_outages(r)]
    if r.random() < 0.7:  # or all is made before the last ones begin
        night.bad["qa"] = dict.fromkeys(r.sample(night.cards, len(night.cards) // 3), r.choice([REFUSAL, "500"]))
    some = [Start()]
    for _ in range(r.randint(2, 4)):
        for event in events:
            if r.random() < 0.7 and (some[1:] or event != "named"):  # at first there is nothing to make again
                EVENTS[event](night, r, some[-1])
        some.append(Start(absent=some[-1].absent, model=some[-1].model))
    rest = replace(some.pop(), is_quiet=True)
    night.starts = [*some, rest, rest]


def _is_struck(night: Night, r: random.Random, start: Start) -> None:
    requests, signal = r.choice([0, r.randint(1, 6), *r.choices(range(len(night.cards)), k=2)]), r.choice(SIGNALS)
    start.blow = Blow(signal, requests, r.choice([0.0, r.uniform(0, 1), r.uniform(0, 20)]))


def _is_edited(night: Night, r: random.Random, start: Start) -> None:
    """Targets leave the config or come back, card types are switched off or on, or the model changes."""
    if start.after is None:  # else it would read the config again once it had waited
        targets = r.sample(night.targets, r.randint(0, len(night.targets) // 2))
        start.absent = [*targets, *r.sample(night.types, r.randint(0, len(night.types) - 1))]
        start.model = r.choice(["small", "large"])


def _is_named(night: Night, r: random.Random, start: Start) -> None:
    """Something is asked for again, which may never have been made, or left out; perhaps the config lacks it."""
    if r.random() < 0.3:
        start.without = r.sample(night.targets, 1)
    else:
        start.again = r.sample([*night.cards, (r.choice(night.targets), None)], r.randint(1, 3))


def _comes_early(_: Night, r: random.Random, start: Start) -> None:
    start.after = r.choice([0.0, 0.01, r.uniform(0, 3), r.uniform(0, 60)])


def _is_retried(_: Night, r: random.Random, start: Start) -> None:
    start.retry_after = r.choice([0.0, r.uniform(0, 60), r.uniform(60, 600)])


def _loses_storage(night: Night, r: random.Random, _: Start) -> None:
    """A right, for a while, or answers to what is written."""
    outages, verb = night.outages.setdefault("storage", []), r.choice(VERBS)
    begin = (outages[-1].end if outages else 0.0) + r.choice(
        [0.0, r.uniform(0, 5), r.uniform(0, 20), r.uniform(0, 100)]
    )
    end = begin + r.choice([0.5, 5.0, 20.0, 40.0, 100.0, 600.0]) * r.uniform(0.9, 1.0)
    outages.append(Outage(begin, end, verb))


EVENTS: dict[str, Callable[[Night, random.Random, Start], None]] = {
    "together": _comes_early,
    "edited": _is_edited,
    "named": _is_named,
    "struck": _is_struck,
    "storage": _loses_storage,
    "retried": _is_retried,
}


SEVERAL: dict[str, Sequence[str]] = {
    "killed": ["struck"],
    "edited": ["edited", "struck"],
    "asked": ["together", "named", "struck"],
    "together": ["together", "struck"],
    "storage": ["together", "storage", "struck"],
    "retried": ["together", "retried", "struck"],
    "any": ["together", "edited", "named", "struck", "storage"],
}
"""The kinds of nights that have several starts, with what happens to these."""
KINDS: dict[str, Callable[[Night, random.Random], None]] = {
    "outage": _outage,
    "bad": _bad,
    **{kind: partial(_several, events=events) for kind, events in SEVERAL.items()},
}


def fate(night: Night, engine: str, items: Sequence[Item], number: int) -> random.Random:
    """What chance decides of a try, by its number among those at the same items: no other try changes it."""
    return random.Random(f"{night.kind} {night.size} {night.seed} {engine} {[*items]} {number}")
