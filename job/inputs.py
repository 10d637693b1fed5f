"""What a run was made of, as its record keeps it: enough to make the same plan again."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, ConfigDict, PositiveInt

from job.dates import is_date
from job.engines import BATCHES, EngineName

FORMAT = 1
"""Of the whole record. A record of another format is refused, not guessed at."""


class RecordError(Exception):
    """A record cannot be used: of another format, incomplete, or changed by somebody. Says which object and why."""


class ConfigObject(BaseModel):
    """A config object as it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    generation: str
    content: str


class Inputs(BaseModel):
    """The inputs of a run's plan. No secret is among them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    run_id: str
    started: str
    """When the first attempt began, ISO 8601 with its offset."""
    day: str
    """The day that the run is for: its date, or the day of its start in its time zone."""
    date: str | None
    """The date that the plan has; `None` left it to the engines."""
    batch_sizes: dict[EngineName, PositiveInt]
    config_uri: str
    objects: dict[str, ConfigObject]
    version: str


def pack(inputs: Inputs) -> bytes:
    """The object that holds them."""
    return sealed(inputs.model_dump(mode="json"))


def unpack(name: str, data: bytes, run_id: str) -> Inputs:
    """The inputs that an object of this name holds. Raises `RecordError`."""
    value = unsealed(name, data)
    try:
        inputs = Inputs.model_validate(value)
        datetime.fromisoformat(inputs.started)
    except ValueError as error:
        raise RecordError(f"{name} is not what a run writes") from error
    if not inputs.batch_sizes.keys() >= BATCHES.keys():
        raise RecordError(f"{name} is not what a run writes")
    if inputs.run_id != run_id:
        raise RecordError(f"{name} belongs to run {inputs.run_id}")
    if inputs.date is not None and not is_date(inputs.date):
        raise RecordError(f"{name} has no proper date")
    return inputs


def sealed(value: Mapping[str, object]) -> bytes:
    """A JSON object with the checksum of its own content, so that a change by another is seen."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return f'{{"sha256":"{_checksum(body)}","body":{body}}}\n'.encode()


def unsealed(name: str, data: bytes) -> dict[str, object]:
    """What `sealed` was given. Raises `RecordError` where it is another's, of another format, or changed."""
    try:
        value = json.loads(data)
        checksum, body = value["sha256"], value["body"]
        written = json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise RecordError(f"{name} is not what a run writes") from error
    if not isinstance(body, dict):
        raise RecordError(f"{name} is not what a run writes")
    if body.get("format") != FORMAT:
        raise RecordError(f"{name} has format {body.get('format')!r}; this version of the job knows {FORMAT}")
    if checksum != _checksum(written):
        raise RecordError(f"{name} was changed after it was written")
    return body


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
