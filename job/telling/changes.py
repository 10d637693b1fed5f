"""Changes in words: what has changed since the night before."""

from collections.abc import Mapping

from job.day.report import Change
from job.engines.calls import ENGINES, counted
from job.telling.sentence import named
from job.text.messages import Message, listed, message, plural

_LABELS: Mapping[str, Message] = {name: engine.label for name, engine in ENGINES.items()}


def change_of(change: Change, day: str) -> Message:
    """What has changed since this day."""
    count, short_day = change.cards, day[5:]
    if change.kind == "switched_off":
        return plural(
            "1 card was made without {engine} data; a plain start does not make it again",
            "{count} cards were made without {engine} data; a plain start does not make them again",
            count=count,
            engine=_LABELS.get(change.name, change.name),
        )
    if change.kind == "switched_on":
        return plural(
            "1 card was made with {engine} data, unlike on {day}; a plain start does not make it again",
            "{count} cards were made with {engine} data, unlike on {day}; a plain start does not make them again",
            count=count,
            engine=_LABELS.get(change.name, change.name),
            day=short_day,
        )
    if change.kind == "moved":
        (value,) = change.values
        values = {"variable": change.name, "day": short_day, "before": value.before, "after": value.after}
        return message("{variable} changed since {day}: {before} → {after}", **values)
    cards, names = counted("qa", count), named(change.items)
    if change.kind == "new":
        return message("New since {day}, {cards}: {names}", day=day, cards=cards, names=names)
    if change.kind == "left_out":
        return message("Left out on {day}, {cards}: {names}", day=day, cards=cards, names=names)
    if change.kind == "gone":
        return message("No longer asked for since {day}, {cards}: {names}", day=day, cards=cards, names=names)
    return message(
        "{name} has changed since {day} ({changes}) for {cards}: {names}",
        day=day,
        name=change.name,
        changes=listed([f"{value.before} → {value.after}" for value in change.values]),
        cards=cards,
        names=names,
    )
