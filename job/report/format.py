"""Format of a run's record: its version, the names of its objects, the types of its values, and the checksum."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator

from job.config.fields import is_run_id
from job.errors import JobError
from job.text.display import quoted
from job.text.messages import Message, message, plural, template

FORMAT = 1
"""The version of the whole record's format. A record of another format is refused."""
INPUTS = "inputs.json"
LATER_INPUTS = "inputs-"
"""The beginning of the names of later configs; a number of six digits and `.json` follow."""
RESULTS = "results/"
BARRIER = "barrier-"
"""The beginning of a barrier's name; the first 16 digits of its plan's digest and `.json` follow."""
REPORT = "report.json"
ATTEMPTS = "attempts/"
SUMMARY = "summary.json"
PAGE = "report.html"
CARDS = "cards.csv"
NIGHTS_PAGE = "index.html"
"""Stored beside the runs, so it cannot be the id of a run."""
DAYS = "_days/"
"""Holds an object for each run of a day, numbered: the latest run of a day is found without reading any other."""
STARTED = "_started/"
"""Holds an object for each run, named by the time of its start: the latest runs are found without reading any."""


def _check_stamp(text: str) -> str:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or not 1970 <= moment.year < 9000:
        raise ValueError("no time of a run")
    return text


Stamp = Annotated[str, AfterValidator(_check_stamp)]
"""ISO 8601 with an offset. The range of years allows calculations without overflow."""


class RecordError(JobError):
    """A record cannot be used: it has another format, is incomplete, or was altered. Says which object and why."""

    def __init__(self, what: Message) -> None:
        # The name of an object may not be UTF-8, or may contain control characters for a terminal.
        values = {name: _escaped(value) if isinstance(value, str) else value for name, value in what.values.items()}
        self.what = Message(what.id, values, what.plural)
        super().__init__(str(self.what))


def _escaped(text: str) -> str:
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


NOT_WRITTEN = template("{object} is not what a run writes")
OF_OTHER_RUN = template("{object} belongs to run {run}")
NOT_THE_NEXT = template("{object} is not the object that follows the one before it")
CHANGED = template("{object} was changed after it was written")


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
        raise RecordError(message("{object} is not what a run writes; remove it", object=quoted(name)))
    return started, run_id


def started_runs(names: Iterable[str]) -> tuple[dict[str, datetime], list[str]]:
    """The runs under `STARTED` and when each began, the newest first; and a fault for each other object there."""
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
    """A JSON object with a checksum of its content, by which later changes are detected."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return f'{{"sha256":"{_checksum(body)}","body":{body}}}\n'.encode()


def unsealed(name: str, data: bytes) -> dict[str, object]:
    """The value that was given to `sealed`. Raises `RecordError` if it is foreign, of another format, or changed."""
    try:
        value = json.loads(data)
        checksum, body = value["sha256"], value["body"]
        written = json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise RecordError(message(NOT_WRITTEN, object=name)) from error
    if not isinstance(body, dict):
        raise RecordError(message(NOT_WRITTEN, object=name))
    check_format(name, body)
    if checksum != _checksum(written):
        raise RecordError(message(CHANGED, object=name))
    return body


def check_format(name: str, value: Mapping[str, object]) -> None:
    """Raises `RecordError` if an object of this name is of another format."""
    found = value.get("format")
    if found is not None and not isinstance(found, int):
        raise RecordError(message(NOT_WRITTEN, object=name))
    if found != FORMAT:
        raise RecordError(of_other_format(name, found))


def of_other_format(name: str, found: object) -> Message:
    """The reason of a `RecordError`: an object of this name is of the format that was found."""
    text = template("{object} has format {found}; this version of the job knows {known}")
    return message(text, object=name, found=str(found), known=str(FORMAT))


def not_valid(name: str, faults: int) -> Message:
    """The reason of a `RecordError`: an object of this name has faults."""
    return plural(
        "{object} is not what a run writes (1 fault)",
        "{object} is not what a run writes ({count} faults)",
        faults,
        object=name,
    )


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
