"""Totals: the numbers of an engine, as reports store them. Every planned item is in exactly one of them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0, lt=2**31)]
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
"""A duration."""


class EngineTotals(BaseModel):
    """The totals of one engine: `done`, `failed` and `not_attempted` add up to `planned`.

    Items are cards for qa and targets for the others; calls may be batches.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    planned: Count = 0
    done: Count = 0
    failed: Count = 0
    """Includes those that were cut off."""
    not_attempted: Count = 0
    cut_off: Count = 0
    """How many of `failed` were interrupted by the end of an attempt."""
    left_out: Count = 0
    """How many of `not_attempted` a person has left out."""
    calls: Count = 0
    """Calls that are done or failed. Parts of a batch that ended separately count separately."""
    retries: Count = 0
    waits: Count = 0
    """How many of the retries waited for room, after an answer of 429 or 503."""
    p50_seconds: Seconds | None = None
    """The median of the calls that are done; `None` without any."""

    @property
    def missing(self) -> int:
        """Planned items that are not done, and that nobody has left out."""
        return self.planned - self.done - self.left_out

    @property
    def not_reached(self) -> int:
        """Missing items that have not failed: never requested, or cut off."""
        return self.missing - self.failed + self.cut_off


EngineState = Literal["good", "warn", "bad", "none"]
"""All done; not all done; some failed; nothing planned, or not known."""


def engine_state(totals: EngineTotals | None) -> EngineState:
    """The state of one engine."""
    if totals is None or not totals.planned:
        return "none"
    if not totals.missing:
        return "good"
    return "bad" if totals.failed > totals.cut_off else "warn"
