"""`make bench`: prints what was measured, then the targets."""

from __future__ import annotations

import argparse
import json

from tests.tools.bench.cases import FULL, QUICK, Row, run

_HEAD = f"{'':22}{'cards':>8}{'in flight':>11}{'latency':>9}{'calls/s':>9}{'x script':>10}{'x ideal':>9}"
_HEAD_TOO = f"{'CPU ms/call':>13}{'peak MiB':>10}{'first call':>12}{'connections':>13}"
_NOTES = """\
calls/s and x ideal: from the first call's arrival to the last one's answer, as the engine saw them.
CPU ms/call: user and system of the whole process, less that of a run of one card. first call: after process start.
script: asyncio, one httpx client with a connection a call in flight, a semaphore.
floor: h11 on a trio stream."""


def main() -> None:
    """Measures and prints; always succeeds, as a busy machine misses targets too."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.bench", description="Measures what a call costs.")
    parser.add_argument("--quick", action="store_true", help="less of everything, once: half a minute")
    parser.add_argument("--json", action="store_true", help="print nothing but the targets, as one JSON object")
    options = parser.parse_args()
    if not options.json:
        print(_HEAD + _HEAD_TOO, flush=True)
    show = _silent if options.json else _print
    targets = run(QUICK if options.quick else FULL, show)
    if options.json:
        print(json.dumps({target.name: target.value for target in targets}))
    else:
        print(f"\n{_NOTES}\n")
        print("\n".join(map(str, targets)))


def _print(row: Row) -> None:
    measured, load = row.measured, row.measured.load
    latency = f"{load.latency * 1000:g} ms"
    against = "" if row.against is None else f"{row.against:.1f}"
    print(
        f"{measured.client:22}{load.calls:8,}{load.in_flight:11,}{latency:>9}{measured.rate:9,.0f}{against:>10}"
        f"{measured.makespan:9.3f}{row.cpu:13.3f}{measured.peak / 2**20:10.0f}{measured.ready:10.2f} s"
        f"{measured.connections:13,}",
        flush=True,
    )


def _silent(_: Row) -> None:
    pass


if __name__ == "__main__":
    main()
