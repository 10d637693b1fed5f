"""Changes in words: what has changed since the night before."""

from job.day.report import Change
from job.engines.calls import counted
from job.telling.sentence import named
from job.text.messages import Message, Value, message


def change_of(change: Change, day: str) -> Message:
    """What has changed since this day."""
    values: dict[str, Value] = {"day": day, "cards": counted("qa", change.cards), "names": named(change.items)}
    if change.kind == "gone":
        return message("No longer asked for since {day}, {cards}: {names}", **values)
    values |= {"before": change.before or "–", "after": change.after or "–"}
    if change.kind == "other_model":
        return message("Made with another model than on {day}: {before} → {after}", **values)
    return message("Another kind of target since {day}, {before} → {after}: {names}", **values)
