"""`make bench`: prints what was measured, then which targets are reached."""

import argparse
from dataclasses import dataclass

from tests.tools.bench.measure import Load, Measured, best, measure

_HEAD = ("client", "cards", "in flight", "latency", "calls/s", "CPU ms/call", "peak MiB", "first call")
_NOTES = """\
calls/s: from the first call's arrival to the last one's answer, as the engine saw them.
CPU ms/call: user and system of the whole process, less that of a run of one card. first call: after process start.
script: asyncio, one httpx client with a connection a call in flight, a semaphore."""

ALONE = Load(tickers=1, card_types=1, in_flight=1, latency=0.02)
"""A run that is little more than start-up."""
COMPARED = Load(200, 6, 64, 0.02)
"""What the script and the job do, in turn."""
CROWDS = (Load(1000, 6, 64, 0.02), Load(2500, 6, 256, 0.02), Load(4000, 6, 1024, 0.02))
"""What the CPU of a call is measured at; the memory is that of the first one."""
QUICK_CROWDS = (Load(1000, 6, 64, 0.02), Load(1000, 6, 256, 0.02), Load(2000, 6, 1024, 0.02))
WIDE = {350: Load(2048, 6, 4096, 8.0, tls=True), 600: Load(4096, 6, 8192, 8.0, tls=True)}
"""By the MiB that they may take: as many calls in flight as the default memory allows, and as the variable does."""


@dataclass(frozen=True, slots=True)
class Target:
    """A number that was measured and its bound: one of `least` and `most` is set."""

    name: str
    what: str
    value: float
    least: float | None = None
    most: float | None = None

    def __str__(self) -> str:
        reached = (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)
        bound = f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"
        return f"{'pass' if reached else 'MISS'}  {self.what:50}{self.value:8.2f}  {bound}"


def main() -> None:
    """Measures and prints; always succeeds, as a busy machine misses targets too."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.bench", description="Measures what a call costs.")
    parser.add_argument("--quick", action="store_true", help="less of everything, once: half a minute")
    targets = run(is_quick=parser.parse_args().quick)
    print(f"\n{_NOTES}\n")
    print("\n".join(map(str, targets)))


def run(*, is_quick: bool) -> list[Target]:
    """Measures everything, shows each row as it is there, and returns the targets with what was reached."""
    repeats, crowds = (1, QUICK_CROWDS) if is_quick else (3, CROWDS)
    measure("job", ALONE)  # compiles the bytecode, which an image has
    # What is subtracted from every other run: noise in it would be in all of them.
    alone = {client: best(measure(client, ALONE) for _ in range(3)) for client in ("script", "job")}

    def cpu(measured: Measured) -> float:
        start = alone[measured.client]
        return (measured.cpu - start.cpu) / (measured.load.calls - 1) * 1000

    def show(measured: Measured) -> Measured:
        load = measured.load
        wanted = (f"{load.calls:,}", f"{load.in_flight:,}", f"{load.latency * 1000:g} ms")
        took = (f"{measured.rate:,.0f}", f"{cpu(measured):.3f}", f"{_mib(measured):.0f}", f"{measured.ready:.2f} s")
        _print(measured.client, *wanted, *took)
        return measured

    _print(*_HEAD)
    # In turn, so that whatever else keeps the machine busy is felt by both.
    turns = [[measure(client, COMPARED) for client in ("script", "job")] for _ in range(repeats)]
    script, job = (show(best(runs)) for runs in zip(*turns, strict=True))
    crowded = [show(best(measure("job", load) for _ in range(repeats))) for load in crowds]
    return [
        Target("speed", "calls/s, as a multiple of the script's", job.rate / script.rate, least=8),
        *(
            Target(f"cpu-{one.load.in_flight}", f"CPU ms a call, {one.load.in_flight:,} in flight", cpu(one), most=0.55)
            for one in crowded
        ),
        Target("memory", f"peak MiB, {crowds[0].calls:,} cards", _mib(crowded[0]), most=120),
        Target("start", "seconds from process start to the first call", alone["job"].ready, most=0.45),
        *(
            Target(
                f"memory-{load.in_flight}",
                f"peak MiB, {load.in_flight:,} in flight over TLS",
                _mib(show(measure("job", load))),
                most=most,
            )
            for most, load in ({} if is_quick else WIDE).items()
        ),
    ]


def _mib(measured: Measured) -> float:
    return measured.peak / 2**20


def _print(client: str, *columns: str) -> None:
    print(f"{client:8}", *(f"{column:>11}" for column in columns), flush=True)


if __name__ == "__main__":
    main()
