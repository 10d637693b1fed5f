"""Selection: what of a plan a person names: to make it again, or to leave it out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import islice

from job.config.faults import Fault, FaultKind
from job.config.options import AGAIN, WITHOUT
from job.config.plan import Plan
from job.config.targets import Target
from job.engines.calls import Item
from job.engines.catalog import ALL_ENGINES
from job.text.display import quoted
from job.text.messages import Message, listed, message, template

ALL = "all"
"""The name of everything."""
UNCONFIRMED_LIMIT = 20
"""Maximum number of cards that are made again without `--yes`."""
RERUNS_LIMIT = 100_000
"""Reruns of a day: every attempt carries them forward."""
_TOO_MANY = message("a day has at most {count} cards and data made again", count=RERUNS_LIMIT)
TOO_MANY_RERUNS = Fault(AGAIN, _TOO_MANY, message("name fewer"), FaultKind.COMMAND)
NEAREST = 3
COMPARED = 2000
"""Maximum number of names that a wrong one is compared with: each takes 10 to 40 µs."""
SUGGESTED = 5
"""Wrong names that are compared, since all of a long list would take seconds."""


class _Names:
    """What there is to name in a plan: nothing that is left out."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.targets: dict[str, Target] = {
            target.id: target for target in plan.targets if target.id not in plan.left_out
        }
        self.types: dict[str, list[str]] = {}
        """For each card type, the targets that get it."""
        for target in self.targets.values():
            for card_type in target.card_types:
                self.types.setdefault(card_type, []).append(target.id)

    def has(self, target: str, card_type: str) -> bool:
        """Whether there is this card."""
        return target in self.targets and card_type in self.targets[target].card_types

    def stands_for(self, name: str) -> Iterator[Item]:
        """What a name stands for; nothing if it is wrong."""
        if name == ALL and name not in self.targets:
            yield from (item for item in _items(self.plan) if item.target in self.targets)
        elif name in self.targets:
            target = self.targets[name]
            yield from (Item("qa", name, card_type) for card_type in target.card_types)
            yield from (Item(engine, name, None) for engine in target.engines)
        elif name.startswith("/"):
            yield from (Item("qa", target, name[1:]) for target in self.types.get(name[1:], ()))
        else:
            parts = (at for at, letter in enumerate(name) if letter == "/")  # an id may have a slash too
            yield from (Item("qa", name[:at], name[at + 1 :]) for at in parts if self.has(name[:at], name[at + 1 :]))

    def nearest(self, name: str) -> Message:
        """The remedy of a wrong name."""
        target, slash, card_type = name.partition("/")
        if not target:
            return _nearest(card_type, self.types, "/{}")
        if slash and target in self.targets:
            return _nearest(card_type, self.targets[target].card_types, target + "/{}")
        return _nearest(target, self.targets, "{}" + slash + card_type)


def _items(plan: Plan) -> Iterator[Item]:
    return (item for engine in ALL_ENGINES for item in plan.items(engine))


def select(plan: Plan, names: Sequence[str], *, is_confirmed: bool) -> tuple[Sequence[Item], list[Fault]]:
    """What these names stand for, in the order of the plan; and a fault for each that the plan lacks.

    `NVDA/news_card` is a card, `/outlook_card` all cards of a type, `NVDA` the data and the cards of a target, `all`
    everything. Many cards need to be confirmed.
    """
    if not names:
        return [], []
    known = _Names(plan)
    selected, wrong = set[Item](), list[str]()
    for name in dict.fromkeys(names):
        found = set(islice(known.stands_for(name), RERUNS_LIMIT + 1))
        selected |= found
        if len(selected) > RERUNS_LIMIT:
            return [], [TOO_MANY_RERUNS]
        if not found:
            wrong.append(name)
    faults = _faults(AGAIN, template("{name} is nothing that the config asks for"), wrong, known.nearest)
    count = sum(item.engine == "qa" for item in selected)
    if count > UNCONFIRMED_LIMIT and not is_confirmed and not faults:
        what = message("asks for {count} cards that are paid for again", count=count)
        faults.append(Fault(AGAIN, what, message("add --yes if that is meant"), FaultKind.COMMAND))
    if not selected:
        return [], faults
    return [item for item in _items(plan) if item in selected], faults


def left_out_faults(plan: Plan, names: Sequence[str]) -> list[Fault]:
    """What is wrong with the names of targets to leave out of this plan."""
    if not names:
        return []
    known = dict.fromkeys(target.id for target in plan.targets)
    wrong = [name for name in dict.fromkeys(names) if name not in known]
    if not wrong and known.keys() <= set(names):
        return [Fault(WITHOUT, message("leaves nothing to do"), message("name fewer targets"), FaultKind.COMMAND)]
    return _faults(WITHOUT, template("{name} is no target of the config"), wrong, lambda name: _nearest(name, known))


def contradiction(name: str) -> Fault:
    """The fault of a name that is to be made again and left out."""
    what = message("{name} is also left out by {option}", name=quoted(name), option=WITHOUT)
    return Fault(AGAIN, what, message("name it in one of the two"), FaultKind.COMMAND)


def _faults(option: str, text: str, wrong: Sequence[str], nearest: Callable[[str], Message]) -> list[Fault]:
    """A fault for each wrong name; `text` is its template."""
    return [
        Fault(
            option,
            message(text, name=quoted(name)),
            nearest(name) if at < SUGGESTED else message("correct it"),
            FaultKind.COMMAND,
        )
        for at, name in enumerate(wrong)
    ]


def _nearest(wanted: str, known: Iterable[str], shown: str = "{}") -> Message:
    """The remedy of a wrong name: the names most like it, as `shown` shows each; the first names if none is."""
    names = list(known)
    spelled = {one.casefold(): one for one in names[:COMPARED]}
    near = [spelled[one] for one in get_close_matches(wanted.casefold(), spelled, NEAREST, 0.5)]
    text = listed([shown.replace("{}", one) for one in near or names])
    return message("the nearest: {names}", names=text) if near else message("there are: {names}", names=text)
