"""Whatever the config holds, reading it takes little memory and time, and few lines are printed."""

import re
import subprocess
import sys

import pytest

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
from job.config.plan import make_plan

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
    plan, faults = make_plan(config, "2026-11-24", {})
    notices = plan.notices
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
