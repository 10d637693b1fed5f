"""Selection: what of a plan a person names: to make it again, or to leave it out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches

from job.config.faults import CommandFault, Fault
from job.engines.calls import WorkItem
from job.engines.catalog import ALL_ENGINES, EngineName
from job.planning.plan import Plan
from job.text.display import quoted
from job.text.messages import Message, listed, message

Selected = tuple[EngineName, WorkItem]
ALL = "all"
"""The name of everything."""
AGAIN, WITHOUT = "--again", "--without"
UNCONFIRMED_LIMIT = 20
"""Maximum number of cards that are made again without `--yes`."""
NEAREST = 3
COMPARED = 2000
"""Maximum number of names that a wrong one is compared with: each takes 40 µs."""


def select(plan: Plan, names: Sequence[str], *, is_confirmed: bool) -> tuple[Sequence[Selected], list[Fault]]:
    """What these names stand for, in the order of the plan; and a fault for each that the plan lacks.

    `NVDA/news_card` is a card, `/outlook_card` all cards of a type, `NVDA` the data and the cards of a target, `all`
    everything. Many cards need to be confirmed.
    """
    cards = {target.id: target.card_types for target in plan.targets}
    selected, faults = set[Selected](), list[Fault]()
    for name in dict.fromkeys(names):
        found = set(_named(plan, cards, name))
        selected |= found
        if not found:
            faults.append(_unknown(name, cards))
    count = sum(engine == "qa" for engine, _ in selected)
    if count > UNCONFIRMED_LIMIT and not is_confirmed and not faults:
        what = message("asks for {count} cards that are paid for again", count=count)
        faults.append(CommandFault(AGAIN, what, message("add --yes if that is meant")))
    if not selected:
        return [], faults
    ordered = ((engine, item) for engine in ALL_ENGINES for item in plan.items(engine))
    return [one for one in ordered if one in selected], faults


def left_out_faults(plan: Plan, names: Sequence[str]) -> list[Fault]:
    """What is wrong with the names of targets to leave out of this plan."""
    known = {target.id: () for target in plan.targets}
    faults: list[Fault] = [
        CommandFault(WITHOUT, message("{name} is no target of the config", name=quoted(name)), nearest(name, known))
        for name in dict.fromkeys(names)
        if name not in known
    ]
    if names and not faults and known.keys() <= set(names):
        faults.append(CommandFault(WITHOUT, message("leaves nothing to do"), message("name fewer targets")))
    return faults


def contradiction(name: str) -> Fault:
    """The fault of a name that is to be made again and left out."""
    what = message("{name} is also left out by {option}", name=quoted(name), option=WITHOUT)
    return CommandFault(AGAIN, what, message("name it in one of the two"))


def _named(plan: Plan, cards: Mapping[str, Sequence[str]], name: str) -> Iterator[Selected]:
    if name == ALL and name not in cards:
        yield from ((engine, item) for engine in ALL_ENGINES for item in plan.items(engine))
    elif name in cards:
        yield from (("qa", (name, card)) for card in cards[name])
        data = next(target.engines for target in plan.targets if target.id == name)
        yield from ((engine, (name, None)) for engine in data)
    elif name.startswith("/"):
        yield from (("qa", (target, name[1:])) for target, own in cards.items() if name[1:] in own)
    else:
        parts = (name[:at] for at, letter in enumerate(name) if letter == "/")  # an id may have a slash too
        for target in parts:
            if name[len(target) + 1 :] in cards.get(target, ()):
                yield "qa", (target, name[len(target) + 1 :])


def _unknown(name: str, cards: Mapping[str, Sequence[str]]) -> Fault:
    target, slash, card_type = name.partition("/")
    if not target:
        types = dict.fromkeys(one for own in cards.values() for one in own)
        remedy = nearest(card_type, types, "/{}")
    elif slash and target in cards:
        remedy = nearest(card_type, cards[target], target + "/{}")
    else:
        remedy = nearest(target, cards, "{}" + slash + card_type)
    return CommandFault(AGAIN, message("{name} is nothing that the config asks for", name=quoted(name)), remedy)


def nearest(wanted: str, known: Iterable[str], shown: str = "{}") -> Message:
    """The remedy of a wrong name: the names most like it, as `shown` shows each; the first names if none is."""
    names = list(known)
    spelled = {one.casefold(): one for one in names[:COMPARED]}
    near = [spelled[one] for one in get_close_matches(wanted.casefold(), spelled, NEAREST, 0.5)]
    text = listed([shown.replace("{}", one) for one in near or names])
    return message("the nearest: {names}", names=text) if near else message("there are: {names}", names=text)
