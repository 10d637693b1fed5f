"""Lines: the form in which everything is said of a day. Terminal, message and pages draw them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Literal

from job.day.attempt import Severity
from job.text.messages import Message

Mark = Literal["✓", "✗", "!", ""]
SIGNS: Mapping[Severity, Mark] = {"good": "✓", "warn": "!", "bad": "✗"}
"""What a title begins with."""


class Rank(IntEnum):
    """How much a line is needed in a message, if that has to be shortened."""

    ASIDE = 0
    """A message leaves it out: it needs a checkout, or is too much for a chat."""
    DETAIL = 1
    """What failed and why, what is odd: the last goes first."""
    KEPT = 2
    """How the day stands, and what to do: the longest goes first, once no detail is left."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, and perhaps a command or an address below it, which goes with it.

    The text of what a person does next says what the command does, costs, and until when it holds.
    """

    text: Message
    rank: Rank = Rank.DETAIL
    mark: Mark = ""
    """Before a line: a success, a failure, a warning, or none."""
    below: str | None = None
    is_link: bool = False
    """Whether `below` is an address for a browser, and neither a command nor a path."""
    is_start: bool = False
    """Whether the command starts the job again for what is missing: programs are told that one."""
    until: datetime | None = None
    """Until when the command is for its day; `None` if it is so at any time."""
    is_of_config: bool = False
    """Whether it is a fault or a notice of the config, which a start says as soon as it knows it."""
