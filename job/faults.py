"""What is wrong with the configuration, in the words that its user reads."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: where it is (an object and the place in it, or a variable), what it is, and what to do about it."""

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.remedy}"


class ConfigError(Exception):
    """The configuration cannot be used. Holds every fault that was found, never none; nothing was called."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


def place(path: Sequence[str | int]) -> str:
    """A place in a JSON document: `[3].card_types[1]`, `tasks.news_card`, `["BRK.B"][0]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.match(step):
            text += f".{step}" if text else step
        else:
            text += f"[{quoted(step)}]"
    return text


def within(document: str, path: Sequence[str | int] = ()) -> str:
    """Where a fault is: `card_targets.json: [3].card_types[1]`, or the document alone."""
    return f"{document}: {place(path)}" if path else document


def quoted(value: object, limit: int = 80) -> str:
    """A value from a configuration as it may be shown: as JSON, without control characters, cut to `limit`."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
