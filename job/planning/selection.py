"""Selection: the cards of a plan that a person names: a card, all cards of a target, or all cards of a type."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from job.config.faults import Fault
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
            faults.append(_unknown(name, cards, types))
    return [(target, card) for target, own in cards.items() for card in own if (target, card) in selected], faults


def _named(cards: dict[str, tuple[str, ...]], name: str) -> Iterable[CardName]:
    if name in cards:
        return [(name, card) for card in cards[name]]
    if name.startswith("/"):
        return [(target, name[1:]) for target, own in cards.items() if name[1:] in own]
    parts = (name[:at] for at, letter in enumerate(name) if letter == "/")  # an id may have a slash too
    return [(target, name[len(target) + 1 :]) for target in parts if name[len(target) + 1 :] in cards.get(target, ())]


def _unknown(name: str, cards: dict[str, tuple[str, ...]], types: Iterable[str]) -> Fault:
    target, slash, card_type = name.partition("/")
    if not target:
        known, wanted, shown = list(types), card_type, "/{}"
    elif slash and target in cards:
        known, wanted, shown = list(cards[target]), card_type, target + "/{}"
    else:
        known, wanted, shown = list(cards), target, "{}" + slash + card_type
    remedy = nearest([shown.replace("{}", one) for one in nearest_of(wanted, known)])
    return Fault(quoted(name), message("is no card of the run's plan"), remedy)


def nearest_of(wanted: str, known: Sequence[str]) -> Sequence[str]:
    """The names that are most like a wrong one; the first of them if none is like it."""
    spelled = {one.casefold(): one for one in known}
    return [spelled[one] for one in get_close_matches(wanted.casefold(), spelled, NEAREST, 0.5)] or known[:NEAREST]


def nearest(names: Sequence[str]) -> Message:
    """The remedy of a wrong name, which is like these."""
    return message("the nearest: {names}", names=listed(names))
