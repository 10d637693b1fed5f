"""Plays nights by chance, or one of them by its seed, and tells it."""

import argparse
from collections import Counter
from itertools import product

from tests.runs.nights_by_chance.judge import judge
from tests.runs.nights_by_chance.night import KINDS, draw
from tests.runs.nights_by_chance.play import play


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.runs.nights_by_chance", description=__doc__)
    parser.add_argument("--kind", choices=KINDS, nargs="*", default=[*KINDS])
    parser.add_argument("--size", type=int, nargs="*", default=[1, 2, 4, 16, 64], help="how many cards at a time")
    parser.add_argument("--scale", type=float, default=1.0, help="that of the number of cards")
    parser.add_argument("--nights", type=int, default=20, help="of each kind and size")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="play this one night, and tell it")
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.nights) if asked.seed is None else [asked.seed]
    for kind, size in product(asked.kind, asked.size):
        faults, excused = [], Counter[str]()
        for seed in seeds:
            played = play(draw(kind, seed, size, asked.scale))
            verdict = judge(played)
            excused.update(verdict.excused.values())
            if verdict.lost or verdict.broken:
                faults.append(f"{seed}: lost {len(verdict.lost)} {verdict.lost}, broken {verdict.broken}"[:200])
            if asked.seed is not None:
                print(played.night, *played.tries, sep="\n")
                print(*(one.outcome and one.outcome.finished for one in played.starts), verdict, sep="\n")
        print(f"{kind:10} {size:3}: {len(faults)} of {len(seeds)} nights, {dict(excused)} excused", *faults, sep="\n  ")


if __name__ == "__main__":
    main()
