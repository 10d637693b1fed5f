"""Expiry: when something expires, by two clocks."""

import time
from dataclasses import dataclass

import trio

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boottime() -> float:
    """Seconds by a clock that also counts the time for which the machine was suspended, if the platform has one."""
    return time.clock_gettime(_BOOT_CLOCK)


@dataclass(frozen=True, slots=True)
class Expiry:
    """When something expires, by two clocks: it has expired once the time has passed on one of them.

    The monotonic clock, which trio uses, stops while the machine is suspended. Other machines' clocks do not.
    """

    monotonic: float
    """By trio's clock."""
    boottime: float

    @classmethod
    def after(cls, seconds: float) -> "Expiry":
        """An expiry `seconds` from now."""
        return cls(trio.current_time() + seconds, boottime() + seconds)

    def has_passed(self) -> bool:
        """Whether it has expired by now."""
        return trio.current_time() >= self.monotonic or boottime() >= self.boottime
