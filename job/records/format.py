"""The format of a run's record: its version, its objects' names, the types of its values, and their checksum."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from job.config.fields import is_run_id
from job.text.display import quoted

FORMAT = 1
"""Of the whole record. A record of another format is refused, not guessed at."""
INPUTS = "inputs.json"
LATER_INPUTS = "inputs-"
"""How the names of later configs begin; a number of six digits and `.json` follow."""
RESULTS = "results/"
BARRIER = "barrier-"
"""How the name of a barrier begins; the first 16 digits of its plan's digest and `.json` follow."""
REPORT = "report.json"
SUMMARY = "summary.json"
PAGE = "report.html"
CARDS = "cards.csv"
NIGHTS_PAGE = "index.html"
"""Beside the runs, so that no run may be called so."""
STARTED = "_started/"
"""Names every run by the time of its start, so that the latest are found without reading any."""


def _check_stamp(text: str) -> str:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or not 1970 <= moment.year < 9000:
        raise ValueError("no time of a run")
    return text


Stamp = Annotated[str, AfterValidator(_check_stamp)]
"""ISO 8601 with its offset, and far enough from the ends of the calendar to be calculated with."""
Moment = Annotated[float, Field(ge=0, le=2e11, allow_inf_nan=False)]
"""Seconds since 1970: as above."""
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
"""How long something took."""
Count = Annotated[int, Field(ge=0, lt=2**31)]
Word = Annotated[str, Field(pattern=r"^[a-z_]{1,40}$")]
"""An outcome, for machines."""


class RecordError(Exception):
    """A record cannot be used: of another format, incomplete, or changed by somebody. Says which object and why."""

    def __init__(self, text: str) -> None:
        # An object may have a name that is not UTF-8, or that a terminal would obey.
        super().__init__("".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text))


def name_of(run_id: str, name: str) -> str:
    """The name of an object of a run's record."""
    return f"{run_id}/{name}"


def entry_of(run_id: str, started: str) -> str:
    """The name that lists a run under `STARTED`; `started` is ISO 8601."""
    return f"{STARTED}{datetime.fromisoformat(started).astimezone(UTC):{_ENTRY_STAMP}}_{run_id}"


def parse_entry(name: str) -> tuple[datetime, str]:
    """When the run that an object under `STARTED` lists began, and its id. Raises `RecordError`."""
    stamp, _, run_id = name.removeprefix(STARTED).partition("_")
    try:
        started = datetime.strptime(stamp, _ENTRY_STAMP).replace(tzinfo=UTC)
    except ValueError:
        started = None
    if started is None or not is_run_id(run_id):
        raise RecordError(f"{quoted(name)} is not what a run writes; remove it")
    return started, run_id


def started_runs(names: Iterable[str]) -> tuple[dict[str, datetime], list[str]]:
    """The runs that objects under `STARTED` list and when each began, the newest first; and what is wrong there."""
    started: dict[str, datetime] = {}
    faults = []
    for name in sorted(names, reverse=True):
        try:
            moment, run_id = parse_entry(name)
        except RecordError as error:
            faults.append(str(error))
        else:
            started.setdefault(run_id, moment)
    return started, faults


_ENTRY_STAMP = "%Y%m%dT%H%M%SZ"


def sealed(value: Mapping[str, object]) -> bytes:
    """A JSON object with the checksum of its own content, so that a change by another is seen."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return f'{{"sha256":"{_checksum(body)}","body":{body}}}\n'.encode()


def unsealed(name: str, data: bytes) -> dict[str, object]:
    """What `sealed` was given. Raises `RecordError` if it is another's, of another format, or changed."""
    try:
        value = json.loads(data)
        checksum, body = value["sha256"], value["body"]
        written = json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise RecordError(f"{name} is not what a run writes") from error
    if not isinstance(body, dict):
        raise RecordError(f"{name} is not what a run writes")
    check_format(name, body)
    if checksum != _checksum(written):
        raise RecordError(f"{name} was changed after it was written")
    return body


def check_format(name: str, value: Mapping[str, object]) -> None:
    """Raises `RecordError` if an object of this name is of another format."""
    found = value.get("format")
    if found is not None and not isinstance(found, int):
        raise RecordError(f"{name} is not what a run writes")
    if found != FORMAT:
        raise RecordError(f"{name} has format {found}; this version of the job knows {FORMAT}")


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
