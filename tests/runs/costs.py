"""What bad calls and outages cost: `python -m tests.runs.costs` prints two tables, of nights that are always the same.

The first has nights in which nothing good may be lost; the second has a thousand cards of five types.
"""

import argparse
import math
import random
import time
from collections.abc import Iterable, Iterator

from tests.runs.nights_by_chance import Night, Outage, Verdict, draw, play

TYPES = [f"c{number}" for number in range(5)]


def night(size: int, targets: dict[str, list[str]], seconds: float = 20.0) -> Night:
    return Night("costs", 0, size, targets, seconds=seconds, data_seconds=0.1)


def tickers(count: int, types: Iterable[str] = TYPES) -> dict[str, list[str]]:
    return {f"T{number:03}": [*types] for number in range(count)}


def names(first: int, end: int) -> list[str]:
    return [f"T{number:03}" for number in range(first, end)]


def bad(made: Night, mode: str, types: Iterable[str] = (), targets: Iterable[str] = (), share: float = 0.0) -> Night:
    """All cards of these types and of these targets always fail, and this share of all."""
    cards = [card for card in made.cards if {*card} & {*types, *targets} or random.Random(f"{card}").random() < share]
    made.bad |= dict.fromkeys((("qa", card) for card in cards), mode)
    return made


def out(made: Night, *outages: Outage, engine: str = "qa") -> Night:
    made.outages[engine] = [*outages]
    return made


# --- nights that lose nothing ---


def rows() -> Iterator[tuple[str, list[Night]]]:
    for mode in ("500", "hang"):
        topics = {f"X{number:03}": ["topic"] for number in range(45)}
        yield (
            f"1 45 topics first, of the only bad type: {mode}",
            [bad(night(16, topics | tickers(60)), mode, ["topic"])],
        )
        made = out(bad(night(16, tickers(60)), mode, ["c0"]), Outage(0, 1, "503"))
        yield f"1 1 s of 503 as the cards begin, the first type bad: {mode}", [made]
        yield f"1 one at a time, the first type bad: {mode}", [bad(night(1, tickers(30)), mode, ["c0"])]
    yield "2 five bad tickers first and one bad type: 500", [bad(night(16, tickers(60)), "500", ["c1"], names(0, 5))]
    for count in (25, 40):
        for first in (0, 60):
            made = bad(night(16, tickers(150, ["c0"])), "500", (), names(first, first + count))
            yield f"3 {count} bad tickers in a row from the {first}th: 500", [made]
    for share in (0.4, 0.6, 0.8):
        yield f"4 1,000 cards, {share:.0%} of them always 500", [bad(night(16, tickers(200)), "500", share=share)]
        made = bad(night(16, tickers(200), 5.0), "500", share=share)
        made.fails_after = 20.0
        yield f"4 the same, after 20 s, others in 5 s: {share:.0%}", [made]
    yield "5 a data engine out twice or three times", [*_data()]
    twice = [Outage(4, 540, "503", cuts=True), Outage(574, 1033, "500", cuts=True)]
    made = out(night(16, tickers(60, ["c0"])), *twice, engine="trading")
    made.data_seconds = 15.0
    yield "6 a data engine's second outage, with retries only", [made]
    yield "7 few cards left, one bad, QA out for 90 to 560 s", [*_few()]


def _data() -> Iterator[Night]:
    for number in range(20):
        r = random.Random(number)
        outages, begin = [], r.uniform(0, 30)
        for _ in range(2 + number % 2):
            outages.append(Outage(begin, begin + r.uniform(350, 570), r.choice(["503", "500", "401"]), cuts=True))
            begin = outages[-1].end + r.uniform(25, 60)
        made = out(night(16, tickers(60, ["c0"])), *outages, engine=("news", "trading", "financial")[number % 3])
        made.data_seconds = 15.0
        yield made


def _few() -> Iterator[Night]:
    for number in range(25):
        made = night((1, 4, 16)[number % 3], tickers(8))
        made.left = {(f"T00{n}", "c1") for n in range(2 + number % 4)}
        made.bad = {("qa", ("T000", "c1")): ("500", "failed", "lost", "503")[number % 4]}
        length = min(90 + 20.0 * number, 560)
        begin = (0.0, 5.0, 15.0)[number % 3]
        mode = ("503", "500", "lost")[number % 3]
        yield out(made, Outage(begin, begin + length, mode, cuts=number % 2 == 0))


# --- a thousand cards ---


def costs(size: int) -> Iterator[tuple[str, Night]]:
    def all_cards() -> Night:
        return night(size, tickers(200))

    yield "all well", all_cards()
    for mode in ("500", "failed", "lost", "503", "hang"):
        yield f"a type always {mode}", bad(all_cards(), mode, ["c2"])
    for mode in ("500", "503", "hang"):
        yield f"out for good: {mode}", out(all_cards(), Outage(200, math.inf, mode, cuts=True))
    for mode in ("500", "503", "lost"):
        yield f"out for 540 s: {mode}", out(all_cards(), Outage(200, 740, mode, cuts=True))
    for mode in ("500", "503"):
        yield f"10 % always {mode}", bad(all_cards(), mode, share=0.1)
    for mode in ("500", "503"):
        yield f"40 % always {mode}", bad(all_cards(), mode, share=0.4)
    if size > 1:
        some = all_cards()
        yield "two hanging tickers first", bad(some, "hang", (), ["T000", "T001"])
    refused = bad(all_cards(), "422", (), names(0, 200)[::5])
    yield "out for good: 500, one in five refused", out(refused, Outage(200, math.inf, "500", cuts=True))


HEAD = f"{'':58} nights lossy   lost broken unlucky not done peak/min   made      end"


def _print(name: str, found: list[Verdict], peaks: list[int], began: float) -> None:
    parts = [sum(bool(one.lost) for one in found), sum(len(one.lost) for one in found)]
    parts += [sum(bool(one.broken) for one in found), sum("unlucky draws" in one.excused for one in found)]
    broken = sorted({what[:150] for one in found for what in one.broken})
    numbers = "{:5} {:6} {:6} {:7}".format(*parts)
    print(
        f"{name:58} {len(found):6} {numbers} {sum(one.not_done for one in found):8} {max(peaks):8} "
        f"{sum(one.made for one in found):6} {max(one.seconds for one in found):8.0f}   "
        f"{'; '.join(broken)} ({time.perf_counter() - began:.0f} s)",
        flush=True,
    )


def _play(name: str, nights: list[Night]) -> None:
    found, peaks, began = [], [], time.perf_counter()
    for one in nights:
        verdict, player = play(one)
        found.append(verdict)
        for engine in one.outages or ["qa"]:
            begins = [one.arrived for one in player.tries if one.engine == engine and one.start == player.start]
            peaks.append(max((_peak(begins)), default=0))
    _print(name, found, peaks, began)


def _peak(begins: list[float]) -> Iterator[int]:
    """How many began in the minute from each on."""
    end = 0
    for at, begin in enumerate(begins):
        while end < len(begins) and begins[end] < begin + 60:
            end += 1
        yield end - at


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, nargs="*", default=[16, 1, 64])
    parser.add_argument("--only", default="", help="rows with this in their name")
    parser.add_argument("--no-rows", action="store_true")
    parser.add_argument("--random", type=int, default=0, help="also so many nights of row 8, of three kinds")
    asked = parser.parse_args()
    print(HEAD)
    for name, nights in [] if asked.no_rows else rows():
        if asked.only in name:
            _play(name, nights)
    for kind in ("outages", "front", "few") if asked.random else ():
        _play(f"8 random nights: {kind}", [draw(kind, seed) for seed in range(asked.random)])
    for size in asked.size:
        for name, made in costs(size):
            if asked.only in name:
                _play(f"1,000 cards, {size} at a time: {name}", [made])


if __name__ == "__main__":
    main()
