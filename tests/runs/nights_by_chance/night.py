"""What is drawn of a night: its cards, what goes wrong at the engines, and its starts. A seed draws the same again."""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from signal import SIGINT, SIGKILL, SIGTERM, Signals
from typing import NamedTuple

from job.engines.calls import ENGINES, TARGET_ENGINES

Item = tuple[str, str | None]
"""A target, and its card type if it is a card."""

PATIENCE, ATTEMPTS = 1_200.0, 3
TIMEOUT: dict[str, float] = {name: spec.timeout for name, spec in ENGINES.items()}
CONCURRENCY: dict[str, int] = {name: ENGINES[name].concurrency for name in TARGET_ENGINES}
"""Of the data engines; that of QA is drawn."""
FREE = ["401", "403", "404", "409", "422", "429", "503"]
"""What costs nothing. Any other try at a card may have been paid for."""
REFUSAL = "422"
ENGINE_FAILS = ["500", "502", "503", "lost", "hang", "401", "403", "404", "409", "429", "failed"]
"""What an engine may answer for a while, or to an item for good: statuses, a lost connection, no answer, a 2xx."""
BREAKS_BATCHES = ["500", "504", "lost", "hang"]
SIGNALS = [SIGKILL, SIGKILL, SIGTERM, SIGINT]
VERBS = ["create", "create", "replace", "read", "replace", "names", "all", "lost"]
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
    follows: bool = False
    """Whether it begins when the one before has ended, also if that is to be retried."""
    blow: Blow | None = None
    retry_after: float | None = None
    """Seconds after which Cloud Run starts it once more if it fails; `None` if it does not."""
    absent: list[str] = field(default_factory=list)
    """Targets that its config lacks, and card types that it has switched off."""
    model: str = "small"
    without: list[str] = field(default_factory=list)
    again: list[Item] = field(default_factory=list)
    """What a person asks for by name: cards, and whole targets, whose card type is `None`."""
    left: list[Item] = field(default_factory=list)
    """The cards that are left: QA refuses them, and nothing else goes wrong. Nothing does in a start that is quiet."""
    is_quiet: bool = False

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
    """Only the last one is judged by what it has lost."""
    variables: dict[str, str] = field(default_factory=dict)
    bad: dict[str, dict[Item, str]] = field(default_factory=dict)
    """By engine: what always fails, and how."""
    once: dict[str, str] = field(default_factory=dict)
    """Card types of which no more is made once one card is, and how they fail then."""
    outages: dict[str, list[Outage]] = field(default_factory=dict)
    """By engine; those of the token server run by the clock of QA. There, `cached` means: it has no other token.

    Those of storage run since the night began; a right that is lost for a while is one.
    """
    room: float = math.inf
    """How many calls QA works on. All others get a 429."""
    batch_room: dict[str, tuple[int, str]] = field(default_factory=dict)
    """By engine: how many tickers it can do at once, and what it answers to more."""
    token_ends: float = math.inf
    """When QA stops accepting the tokens that it has seen, by its clock."""

    @property
    def cards(self) -> list[Item]:
        return [*product(self.targets, self.types)]

    def cards_of(self, start: Start) -> list[Item]:
        """The cards that the config of a start asks for."""
        return [card for card in self.cards if not {*start.absent}.intersection(card)]

    @property
    def per_minute(self) -> int | None:
        return int(self.variables["QA_ENGINE_PER_MINUTE"]) if "QA_ENGINE_PER_MINUTE" in self.variables else None

    @property
    def deadline(self) -> float:
        return float(self.variables.get("RUN_DEADLINE_SECONDS", math.inf))


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


def _short_outages(r: random.Random) -> Iterator[Outage]:
    """Up to three, each shorter than the patience."""
    begin = r.choice([0.0, r.uniform(0, 60), r.uniform(0, 400)])
    for _ in range(r.choice([1, 1, 2, 3])):
        end = begin + r.choice([1.0, 20.0, 90.0, 300.0, 540.0]) * r.uniform(0.9, 1.0)
        yield Outage(begin, end, r.choice(ENGINE_FAILS), r.choice([1.0, 1.0, 1.0, 0.7, 0.3]), _is_sometimes(r))
        begin = end + r.choice([r.uniform(5, 60), r.uniform(60, 300), r.uniform(300, 1500)])


def _long_outage(r: random.Random) -> Iterator[Outage]:
    begin = r.choice([0.0, r.uniform(0, 60), r.uniform(0, 400)])
    length = r.choice([math.inf, r.uniform(700, 1800)])
    yield Outage(begin, begin + length, r.choice(ENGINE_FAILS), r.choice([1.0, 1.0, 0.7, 0.3]), _is_sometimes(r))


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


def _outages(night: Night, r: random.Random, drawn: Callable[..., Iterator[Outage]] = _short_outages) -> None:
    night.outages["qa"] = [*drawn(r)]
    if _is_sometimes(r):
        night.bad["qa"] = _bad_cards(night, r, is_in_row=False)


def _front(night: Night, r: random.Random, *, is_in_row: bool = True) -> None:
    night.bad["qa"] = _bad_cards(night, r, is_in_row=is_in_row)
    if _is_sometimes(r):
        night.outages["qa"] = [*_short_outages(r)]


def _types(night: Night, r: random.Random) -> None:
    """Card types, from one to hundreds, of which some always fail, or once a card of theirs is made; in any order."""
    night.types = [f"c{number:03}" for number in range(r.choice([1, 10, 28, 28, 300]))]
    night.targets = [f"T{number:02}" for number in range(max(1, round((4 * night.size + 30) / len(night.types))))]
    count = round(r.choice([0.1, 0.3, 0.6]) * (len(night.types) - 1))
    some = r.choice([night.types[:count], night.types[len(night.types) - count :], r.sample(night.types, count)])
    for name in some:
        mode = r.choice(["hang", "hang", "hang", "500", "503", "failed"])
        if r.random() < 0.3:
            night.once[name] = mode
        night.bad.setdefault("qa", {}).update(dict.fromkeys(product(night.targets, [name]), mode))
    if _is_sometimes(r):
        night.outages["qa"] = [*_short_outages(r)]
    if _is_sometimes(r):
        night.starts = [Start(), Start()]


def _few(night: Night, r: random.Random) -> None:
    """A second start, with one to six cards left, of which any number is bad."""
    left = r.sample(night.cards, r.randint(1, 6))
    night.starts = [Start(left=left, is_quiet=True), Start()]
    night.bad["qa"] = {card: r.choice([*ENGINE_FAILS, REFUSAL]) for card in left[: r.randint(0, len(left))]}
    night.outages["qa"] = [*_short_outages(r)] if r.random() < 0.7 else []


def _data(night: Night, r: random.Random) -> None:
    night.outages = {engine: [*_short_outages(r)] for engine in r.sample([*CONCURRENCY], r.choice([1, 1, 2]))}


def _tickers(night: Night, r: random.Random) -> None:
    """A data engine that never does some of its tickers, or a few in a row."""
    first = r.randrange(len(night.targets))
    some = r.choice([night.targets[first : first + 3], r.sample(night.targets, min(2, len(night.targets)))])
    night.bad[r.choice([*CONCURRENCY])] = {(target, None): r.choice(["500", "503", "lost", "hang"]) for target in some}


def _batches(night: Night, r: random.Random) -> None:
    """Batches that are too large: by one halving and by three."""
    night.targets, night.types = [f"T{number:02}" for number in range(r.choice([16, 30, 50]))], ["c0"]
    for engine in r.choice([["financial"], ["trading"], ["financial", "trading"]]):
        size = r.choice([8, 16])
        night.variables[f"{engine.upper()}_ENGINE_BATCH_SIZE"] = f"{size}"
        night.batch_room[engine] = (size // r.choice([2, 8]), r.choice(BREAKS_BATCHES))
        if _is_sometimes(r):
            night.outages[engine] = [*_short_outages(r)]


def _token(night: Night, r: random.Random) -> None:
    """QA refuses the token from some time on, or cards get 401 for good; and the token server has no other for long."""
    begin = r.uniform(0, 200)
    mode, end = r.choice(["cached", "out"]), begin + r.choice([0, 1, 60, 300, 540])
    night.outages["token server"] = [Outage(begin, end, mode)]
    night.token_ends = r.choice([math.inf, begin])
    if night.token_ends == math.inf:
        night.bad["qa"] = dict.fromkeys(r.sample(night.cards, r.choice([1, 1, 3])), "401")
        if mode == "cached":
            night.outages["token server"] = [Outage(0.0, math.inf, mode)]


def _limits(night: Night, r: random.Random) -> None:
    night.variables |= r.choice([{}, *({"QA_ENGINE_PER_MINUTE": number} for number in ["6", "30", "120"])])
    night.room = r.choice([math.inf, max(2, night.size // 4), max(2, night.size // 2)])
    _front(night, r, is_in_row=False)


def _deadline(night: Night, r: random.Random) -> None:
    _outages(night, r)
    night.variables["RUN_DEADLINE_SECONDS"] = r.choice(["100", "400", "700", "1000", "1500"])


def _named(night: Night, r: random.Random) -> None:
    """Somebody leaves out a target that no engine can do, or asks for cards again."""
    _front(night, r, is_in_row=False)
    if r.random() < 0.5:
        target = r.choice(night.targets)
        night.bad |= {engine: {(target, None): "500"} for engine in CONCURRENCY}
        night.starts = [Start(without=[target])]
    else:
        again = r.sample(night.cards, r.randint(1, min(20, len(night.cards))))
        night.starts = [Start(is_quiet=True), Start(again=again)]


def _several(night: Night, r: random.Random, events: Sequence[str]) -> None:
    """Several starts to which such things happen. Then nothing goes wrong: one makes the rest, and one has none."""
    night.seconds = r.choice([0.3, 2, 10, 30])
    if r.random() < 0.5:
        engine = r.choice(["qa", "qa", *CONCURRENCY])
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


def _asked_again(night: Night, r: random.Random) -> None:
    """While Cloud Run has an execution to retry, others make what is missing, or ask for cards again."""
    night.seconds = r.choice([0.3, 2, 10])
    night.bad["qa"] = dict.fromkeys(r.sample(night.cards, max(1, len(night.cards) // 3)), REFUSAL)
    night.starts = [Start(retry_after=r.uniform(60, 600))]
    for _ in range(r.randint(2, 4)):
        night.starts.append(start := Start(follows=True, is_quiet=r.random() < 0.7))
        for event in ["named", "retried"]:
            if r.random() < 0.5:
                EVENTS[event](night, r, start)
        if r.random() < 0.5:
            start.blow = Blow(SIGKILL, r.randint(1, 3), r.uniform(0, night.seconds))
    night.starts += [Start(is_quiet=True), Start(is_quiet=True)]


EVENTS: dict[str, Callable[[Night, random.Random, Start], None]] = {
    "together": _comes_early,
    "edited": _is_edited,
    "named": _is_named,
    "struck": _is_struck,
    "storage": _loses_storage,
    "retried": _is_retried,
}


SEVERAL: dict[str, Callable[[Night, random.Random], None]] = {
    "killed": partial(_several, events=["struck"]),
    "edited": partial(_several, events=["edited", "struck"]),
    "asked": partial(_several, events=["together", "named", "struck"]),
    "together": partial(_several, events=["together", "struck"]),
    "storage": partial(_several, events=["together", "storage", "struck"]),
    "retried": partial(_several, events=["together", "retried", "struck"]),
    "asked again": _asked_again,
    "any": partial(_several, events=["together", "edited", "named", "struck", "storage"]),
}
"""The kinds of nights that have several starts."""

KINDS: dict[str, Callable[[Night, random.Random], None]] = {
    "outages": _outages,
    "front": _front,
    "scattered": partial(_front, is_in_row=False),
    "types": _types,
    "few": _few,
    "long": partial(_outages, drawn=_long_outage),
    "data": _data,
    "tickers": _tickers,
    "batches": _batches,
    "token": _token,
    "limits": _limits,
    "deadline": _deadline,
    "named": _named,
    **SEVERAL,
}


def fate(night: Night, engine: str, items: Sequence[Item], number: int) -> random.Random:
    """What chance decides of a try, by its number among those at the same items: no other try changes it."""
    return random.Random(f"{night.kind} {night.size} {night.seed} {engine} {[*items]} {number}")
