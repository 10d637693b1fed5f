"""Targets that a person has left out of a run: what is taken out of its config objects. Pure."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from job.config.faults import CommandFault, Fault
from job.config.objects import CARD_TARGETS, TICKER_LIST
from job.config.strict_json import UnreadableError, parse
from job.planning.plan import Plan
from job.planning.prepare import Prepared, make_plan
from job.planning.selection import nearest
from job.planning.targets import EQUITIES_DEFAULT, Target
from job.text.display import quoted
from job.text.messages import message

LEFT_OUT_LIMIT = 20
"""How many targets of a run may be left out; for more, the config is to be corrected."""
OPTION = "--without"


def option_of(names: Sequence[str]) -> list[str]:
    """The arguments of `resume` that leave out these targets; argparse takes what begins with a dash only after `=`."""
    plain = [name for name in names if not name.startswith("-")]
    return [*([OPTION, *plain] if plain else []), *(f"{OPTION}={name}" for name in names if name.startswith("-"))]


def faults_of(names: Sequence[str], plan: Plan, before: Collection[str]) -> list[Fault]:
    """What is wrong with the names of targets to leave out of this plan, from which those `before` are out already."""
    known = [*(target.id for target in plan.targets), *before]
    found: list[Fault] = [
        CommandFault(OPTION, message("{name} is no target of the run", name=quoted(name)), nearest(name, known))
        for name in dict.fromkeys(names)
        if name not in known
    ]
    count = len({*names, *before})
    if count > LEFT_OUT_LIMIT:
        what = message("{count} targets are too many: {limit} may be left out", count=count, limit=LEFT_OUT_LIMIT)
        found.append(
            CommandFault(OPTION, what, message("correct the config instead, and resume the run with --new-config"))
        )
    return found


def leave_out(prepared: Prepared, targets: Sequence[Target]) -> Prepared | None:
    """The plan and its config objects without these targets, which the new plan names; `None` if nothing is left.

    It takes them out of the list of tickers and out of both forms of the targets: an entry alone would become a topic.
    """
    contents = {name: stored.data for name, stored in prepared.objects.items()}
    contents = without(contents, {target.id for target in targets})
    plan, faults, _ = make_plan(contents, prepared.plan.date, prepared.plan.batch_sizes)
    if faults or not plan.targets:
        return None
    objects = {name: replace(prepared.objects[name], data=data) for name, data in contents.items()}
    return Prepared(replace(plan, left_out=tuple(targets)), objects, prepared.notices)


def without(contents: Mapping[str, bytes], names: Collection[str]) -> dict[str, bytes]:
    """The content of config objects without these targets; an object that names none of them stays as it is."""
    left = dict(contents)
    if not names:
        return left
    for document, reduced in ((TICKER_LIST, _tickers), (CARD_TARGETS, _targets)):
        try:
            value = parse(document, left[document])
        except (KeyError, UnreadableError):
            continue
        rest = reduced(value, names)
        if rest == value:
            continue
        if rest or document == TICKER_LIST:
            left[document] = json.dumps(rest, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        else:  # an empty object would be a fault; without it, the other tickers get what they got
            del left[document]
    return left


def _tickers(value: object, names: Collection[str]) -> object:
    return [one for one in value if not _is_among(one, names)] if isinstance(value, list) else value


def _targets(value: object, names: Collection[str]) -> object:
    names = {name for name in names if name != EQUITIES_DEFAULT}  # which is no target, whatever the tickers are
    if isinstance(value, dict):
        return {ticker: types for ticker, types in value.items() if ticker not in names}
    if isinstance(value, list):
        return [one for one in value if not (isinstance(one, dict) and _is_among(one.get("id"), names))]
    return value


def _is_among(value: object, names: Collection[str]) -> bool:
    return isinstance(value, str) and value in names  # what is not checked yet may not be hashable
