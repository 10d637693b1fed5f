"""However many faults a config has, only a few lines are printed: one per cause, with its first places and a count."""

import re
import subprocess
import sys

import pytest

from job.config.objects import CAUSES_LISTED, OBJECTS, PLACES_NAMED
from tests.config.test_objects import GOOD, UNKNOWN, judged

LONGEST = 600
"""Characters of a line, at most."""


def test_one_removed_card_type_is_one_fault_with_the_first_places_and_the_count() -> None:
    entries = [{"id": f"T {number}", "card_types": ["news_card", "old_card"]} for number in range(900)]
    places = ", ".join(f'[{number}] ("T {number}").card_types[1]' for number in range(PLACES_NAMED))
    assert judged(GOOD | {"card_targets.json": entries})[0] == [
        f'card_targets.json: {places} and 897 more: "old_card" {UNKNOWN}'
    ]


MANY = "card_targets.json: has so many faults that not all are listed; correct those that are listed first"


def test_of_many_causes_the_first_are_listed() -> None:
    entries = {"AAPL": [f"a{number}" for number in range(CAUSES_LISTED + 1)]}
    assert judged(GOOD | {"card_targets.json": entries})[0] == [
        *(f'card_targets.json: AAPL[{number}]: "a{number}" {UNKNOWN}' for number in range(CAUSES_LISTED)),
        MANY,
    ]


def test_of_many_notices_the_first_are_listed() -> None:
    names = [f"a{number}" for number in range(CAUSES_LISTED + 1)]
    types = [{"name": "news_card"}, *({"name": name, "enabled": False} for name in names)]
    entries = {"AAPL": ["news_card", *names]}
    notices = judged(GOOD | {"card_types.json": types, "card_targets.json": entries})[1]
    assert len(notices) == CAUSES_LISTED + 1
    assert notices[-1] == "card_targets.json: has further notices"


BAD_ENTRY = {"id": "x/" * 30, "card_types": [7, "a/b", "n" * 9999], "target_type": "p" * 9999, "k" * 9999: 1}


@pytest.mark.parametrize("value", [BAD_ENTRY, {"a/" * 9999: 1}, "v" * 9999, ["w"], 10**39, None])
def test_each_object_full_of_faults_makes_few_and_short_lines(value: object) -> None:
    for each in ([value] * 30, {f"{number}": value for number in range(30)}):
        faults, notices = judged(dict.fromkeys(OBJECTS, each))
        assert 0 < len(faults) <= len(OBJECTS) * 12
        assert all(len(line) <= LONGEST and line.isprintable() for line in (*faults, *notices))


# --- memory ---

CONFIGS = {
    "990,000 unknown card types": """{"card_targets.json": array(target(b'"u"'), 99)}""",
    "a million wrong card types in one entry": """{"card_targets.json": b"[" + target(b"1", 999_990) + b"]"}""",
    "half a million topics": """{"card_targets.json": b"[" + many(b'{"id":"A%d"}', 499_000) + b"]"}""",
    "5,000 deep entries": """{"card_targets.json": array(deep(190), 5_000)}""",
    "as many card types as tickers": """dict.fromkeys(OBJECTS[:2], b"[" + many(b'"t%d"', 99_000) + b"]")""",
    "each object full of bad entries": """dict.fromkeys(OBJECTS, array(b'{"a":1,"b":2,"c":[3]}', 99_000))""",
    "each object full of empty arrays": """dict.fromkeys(OBJECTS, array(b"[]", 5_000_000))""",
    "each object one long value": """dict.fromkeys(OBJECTS, b'["' + b"x" * 16_000_000 + b'"]')""",
}
SCRIPT = """
import re
import time
from pathlib import Path
from job.config.faults import ConfigError
from job.config.objects import OBJECTS, parse_config
from job.config.plan import resolve

def array(item, count):
    return b"[" + (item + b",") * (count - 1) + item + b"]"

def many(item, count):
    return b",".join(item % number for number in range(count))

def target(card_type, count=9990):
    return b'{"id":"A","card_types":' + array(card_type, count) + b"}"

def deep(levels):
    return b"".join(b'{"key_%d":' % level for level in range(levels)) + b"1" + b"}" * levels

good = {"ticker_list.json": b'["A"]', "card_types.json": b'["c"]'}
objects = good | CONFIG
notices = []
try:
    config = parse_config(objects)
    _, faults, notices = resolve(config)
    notices = [*config.notices, *notices]
except ConfigError as error:
    faults = error.faults
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
print(peak, sum(len(str(line)) + 1 for line in (*faults, *notices)), time.process_time())
"""


@pytest.mark.slow
@pytest.mark.needs("linux")
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_whatever_the_config_holds_memory_time_and_lines_stay_small(config: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", re.sub("CONFIG", lambda _: config, SCRIPT)], capture_output=True, text=True, check=True
    )
    peak, characters, seconds = map(float, ended.stdout.split())
    assert peak <= 256 * 1024, "half of the memory that a task has by default"
    assert 0 < characters <= 20_000
    assert seconds <= 30
