"""Card types that were set aside, as the report stores them."""

from collections.abc import Iterable

from job.execution.events import CardTypeSetAside
from job.execution.progress import Part
from job.text.messages import Message


class SetAsideType(Part):
    """A card type of which an attempt did not request the remaining cards."""

    card_type: str
    reason: str
    reason_message: Message
    remedy: str
    remedy_message: Message


def set_aside_types(events: Iterable[CardTypeSetAside]) -> tuple[SetAsideType, ...]:
    """These events for the report."""
    return tuple(
        SetAsideType(
            card_type=event.card_type,
            reason=str(event.reason),
            reason_message=event.reason,
            remedy=str(event.remedy),
            remedy_message=event.remedy,
        )
        for event in events
    )
