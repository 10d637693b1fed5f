"""The limit of open files is raised as far as is allowed; one that is too low is a fault before anything is called."""

import subprocess
import sys

from job.config.environment import read_settings
from job.config.read import too_few_files
from tests.simulators.job import ROOT
from tests.support.fakes import plan_of, settings_of, target

LIMITS = """
import resource
from job.config.environment import open_file_limit, raise_open_file_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 1000))
raise_open_file_limit()
print(resource.getrlimit(resource.RLIMIT_NOFILE), open_file_limit())
"""


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    done = subprocess.run([sys.executable, "-c", LIMITS], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "(1000, 1000) 1000\n"


def found(limit: float, cards: int, **variables: str) -> list[str]:
    given, faults = read_settings({"CONFIG_URI": "config", **variables})
    assert faults == []
    plan = plan_of([target(str(number)) for number in range(cards)], settings_of())
    return [str(fault) for fault in too_few_files(plan, given, limit)]


def test_the_fault_names_the_variable_what_it_needs_and_what_is_allowed() -> None:
    (fault,) = found(1024, 2000, QA_ENGINE_CONCURRENCY="1000")
    assert fault == (
        "QA_ENGINE_CONCURRENCY: needs 1,064 open files, and this process may have 1,024; "
        "raise the hard limit (ulimit -Hn), or lower this to 960 in all"
    )
    assert found(1064, 2000, QA_ENGINE_CONCURRENCY="1000") == []


def test_the_data_engines_need_theirs_at_the_same_time() -> None:
    sizes = {f"{engine}_ENGINE_CONCURRENCY": "100" for engine in ("FINANCIAL", "TRADING", "NEWS")}
    assert found(364, 200, **sizes) == []
    (fault,) = found(363, 200, **sizes)
    assert fault.startswith(f"{', '.join(sizes)}: needs 364 open files")
    assert fault.endswith("or lower this to 299 in all")


def test_a_limit_that_is_enough_for_the_plan_is_accepted() -> None:
    assert found(256, 20, QA_ENGINE_CONCURRENCY="8192") == []


def test_a_limit_that_is_too_low_for_anything_has_to_be_raised() -> None:
    (*_, fault) = found(60, 1)
    assert fault == (
        "QA_ENGINE_CONCURRENCY: needs 65 open files, and this process may have 60; raise the hard limit (ulimit -Hn)"
    )
