"""Changes in words: what has changed since the night before."""

from collections.abc import Mapping

from job.day.report import Change
from job.engines.calls import ENGINES
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
        return _moved(change, short_day)
    names = named(change.items)
    if change.kind == "new":
        return plural(
            "New since {day}, 1 card: {names}",
            "New since {day}, {count} cards: {names}",
            count=count,
            day=day,
            names=names,
        )
    if change.kind == "left_out":
        return plural(
            "Left out on {day}, 1 card: {names}",
            "Left out on {day}, {count} cards: {names}",
            count=count,
            day=day,
            names=names,
        )
    if change.kind == "gone":
        return plural(
            "No longer asked for since {day}, 1 card: {names}",
            "No longer asked for since {day}, {count} cards: {names}",
            count=count,
            day=day,
            names=names,
        )
    return plural(
        "{name} has changed since {day} ({changes}) for 1 card: {names}",
        "{name} has changed since {day} ({changes}) for {count} cards: {names}",
        count=count,
        day=day,
        name=change.name,
        changes=listed([f"{value.before} → {value.after}" for value in change.values]),
        names=names,
    )


def _moved(change: Change, day: str) -> Message:
    (value,) = change.values
    values = {"variable": change.name, "day": day, "before": value.before, "after": value.after}
    if not change.cards:
        return message("{variable} changed since {day}: {before} → {after}", **values)
    return plural(
        "1 card was made with {variable} {after}, unlike on {day} ({before}); a plain start does not make it again",
        "{count} cards were made with {variable} {after}, unlike on {day} ({before}); a plain start does not make them "
        "again",
        count=change.cards,
        **values,
    )
