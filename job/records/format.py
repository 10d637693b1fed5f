"""Format of a run's record: its objects' names, its version, and the checksum that shows a change by another."""

import hashlib
import json
from collections.abc import Mapping

FORMAT = 1
"""Of the whole record. A record of another format is refused, not guessed at."""
INPUTS = "inputs.json"
LATER_INPUTS = "inputs-"
"""How the names of later configs begin; a number of six digits and `.json` follow."""
RESULTS = "results/"
BARRIER = "barrier-"
"""How the name of a barrier begins; the first 16 digits of its plan's digest and `.json` follow."""
REPORT = "report.json"
PAGE = "report.html"
STARTED = "_started/"
"""Names every run by the time of its start, so that the latest are found without reading any."""


class RecordError(Exception):
    """A record cannot be used: of another format, incomplete, or changed by somebody. Says which object and why."""


def name_of(run_id: str, name: str) -> str:
    """The name of an object of a run's record."""
    return f"{run_id}/{name}"


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
    if value.get("format") != FORMAT:
        raise RecordError(f"{name} has format {value.get('format')!r}; this version of the job knows {FORMAT}")


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
