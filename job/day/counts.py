"""Counts: how many items of an engine are in which state, live and as reports store them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, with_config

Count = Annotated[int, Field(ge=0, lt=2**31)]
SECONDS_LIMIT = 1e9
Seconds = Annotated[float, Field(ge=0, le=SECONDS_LIMIT, allow_inf_nan=False)]
"""A duration."""
MissingState = Literal["failed", "cut_off", "not_attempted", "left_out"]
ItemState = Literal["done", "with_error"] | MissingState
EngineState = Literal["good", "odd", "warn", "bad", "none"]
"""All done; all done, some with an error; not all done; some failed; nothing planned, or not known."""


@with_config(ConfigDict(extra="ignore"))
@dataclass(slots=True)
class Counts:
    """The items of one engine: `done`, `failed` and `not_attempted` add up to `planned`; and its calls, once reported.

    Items are cards for qa and targets for the others; calls may be batches.
    """

    planned: Count = 0
    done: Count = 0
    failed: Count = 0
    """Includes those that were cut off."""
    not_attempted: Count = 0
    """Also those that are still in flight."""
    cut_off: Count = 0
    """How many of `failed` were interrupted by the end of an attempt."""
    left_out: Count = 0
    """How many of `not_attempted` a person has left out."""
    with_error: Count = 0
    """How many of `done` were answered with an error besides."""
    calls: Count = 0
    """Calls that are done or failed. Parts of a batch that ended separately count separately."""
    retries: Count = 0
    waits: Count = 0
    """How many of the retries waited for room, after an answer of 429 or 503."""
    p50_seconds: Seconds | None = None
    """The median of the calls that are done; `None` without any."""

    @classmethod
    def of(cls, planned: int) -> "Counts":
        """Those of items that were not attempted."""
        return cls(planned=planned, not_attempted=planned)

    def add(self, state: ItemState, items: int = 1) -> None:
        """Items that were not attempted are in this state now; with a negative number, they are so no longer."""
        if state == "left_out":
            self.left_out += items
        elif state != "not_attempted":
            self.not_attempted -= items
            if state in {"done", "with_error"}:
                self.done += items
                self.with_error += items if state == "with_error" else 0
            else:
                self.failed += items
                self.cut_off += items if state == "cut_off" else 0

    @property
    def missing(self) -> int:
        """Planned items that are not done, and that nobody has left out."""
        return self.planned - self.done - self.left_out

    @property
    def not_reached(self) -> int:
        """Missing items that have not failed: never requested, or cut off."""
        return self.missing - self.failed + self.cut_off

    @property
    def state(self) -> EngineState:
        """The state of the engine."""
        if not self.planned:
            return "none"
        if not self.missing:
            return "odd" if self.with_error else "good"
        return "bad" if self.failed > self.cut_off else "warn"
