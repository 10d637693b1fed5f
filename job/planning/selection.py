"""Selection: the cards of a plan that a person names: a card, all cards of a target, or all cards of a type."""

from collections.abc import Container, Iterable, Sequence
from difflib import get_close_matches

from job.config.faults import CommandFault, Fault
from job.planning.plan import Plan
from job.text.display import quoted
from job.text.messages import Message, listed, message

CardName = tuple[str, str]
"""Target and card type."""
NEAREST = 3


def select_cards(plan: Plan, names: Sequence[str]) -> tuple[Sequence[CardName], list[Fault]]:
    """The cards with these names, each once, in the order of the plan; a fault for each name that the plan lacks.

    `NVDA/news_card` is a card, `NVDA` all cards of a target, `/outlook_card` all cards of a type.
    """
    cards = {target.id: target.card_types for target in plan.targets if target.card_types}
    types = dict.fromkeys(card_type for own in cards.values() for card_type in own)
    selected, faults = set[CardName](), list[Fault]()
    for name in dict.fromkeys(names):
        found = set(_named(cards, name))
        selected |= found
        if not found:
            faults.append(_unknown(name, cards, types, {target.id for target in plan.left_out}))
    return [(target, card) for target, own in cards.items() for card in own if (target, card) in selected], faults


def _named(cards: dict[str, tuple[str, ...]], name: str) -> Iterable[CardName]:
    if name in cards:
        return [(name, card) for card in cards[name]]
    if name.startswith("/"):
        return [(target, name[1:]) for target, own in cards.items() if name[1:] in own]
    parts = (name[:at] for at, letter in enumerate(name) if letter == "/")  # an id may have a slash too
    return [(target, name[len(target) + 1 :]) for target in parts if name[len(target) + 1 :] in cards.get(target, ())]


def _unknown(
    name: str, cards: dict[str, tuple[str, ...]], types: Iterable[str], left_out: Container[str]
) -> CommandFault:
    target, slash, card_type = name.partition("/")
    if target in left_out:
        remedy = message("resume the run with --new-config, which brings it back")
        return CommandFault(quoted(name), message("is left out of the run"), remedy)
    if not target:
        known, wanted, shown = list(types), card_type, "/{}"
    elif slash and target in cards:
        known, wanted, shown = list(cards[target]), card_type, target + "/{}"
    else:
        known, wanted, shown = list(cards), target, "{}" + slash + card_type
    return CommandFault(quoted(name), message("is no card of the run's plan"), nearest(wanted, known, shown))


def nearest(wanted: str, known: Sequence[str], shown: str = "{}") -> Message:
    """The remedy of a wrong name: the names most like it, as `shown` shows each; the first names if none is."""
    spelled = {one.casefold(): one for one in known}
    near = [spelled[one] for one in get_close_matches(wanted.casefold(), spelled, NEAREST, 0.5)]
    names = listed([shown.replace("{}", one) for one in near or known], None if near else len(known))
    return message("the nearest: {names}", names=names) if near else message("there are: {names}", names=names)
