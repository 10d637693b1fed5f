"""The environment of the job, read once at its start."""

import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from job.dates import is_date
from job.engines import ALL_ENGINES, BATCHES, EngineName
from job.faults import Fault, quoted

T = TypeVar("T")

TIMEOUT_DEFAULT: dict[EngineName, float] = {"financial": 900, "trading": 900, "news": 300, "qa": 300}
CONCURRENCY_DEFAULT: dict[EngineName, int] = {"financial": 4, "trading": 4, "news": 8, "qa": 16}
ATTEMPTS_DEFAULT = 4
BATCH_SIZE_DEFAULT = 5

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\Z")
_SERVICE_ACCOUNT = re.compile(r"[^@\s]+@[^@\s]+\Z")


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How to reach one engine, and how hard to try."""

    url: str | None
    """Without a slash at its end; `None` where the variable is not set."""
    audience: str | None
    timeout: float
    """Seconds for one attempt, its token included."""
    concurrency: int
    attempts: int
    batch_size: int


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment, parsed."""

    config_uri: str
    engines: Mapping[EngineName, EngineSettings]
    run_date: str | None
    """YYYY-MM-DD; `today` is resolved already."""
    run_date_is_explicit: bool
    """Whether it was given as a date, which a recorded run must not contradict."""
    time_zone: ZoneInfo
    run_id: str | None
    runs_uri: str | None
    deadline: float | None
    """Seconds from the start of the process."""
    execution: str | None
    task_attempt: int
    impersonate: str | None
    project: str | None


class _UnfitError(ValueError):
    """What is wrong with a value, and the remedy."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy


class _Variables:
    """Reads variables and gathers the faults. A blank value counts as unset."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.faults: list[Fault] = []

    def read(self, name: str, parse: Callable[[str], T], default: T) -> T:
        text = self.environ.get(name, "").strip()
        if not text:
            return default
        if not text.isprintable():  # bytes that are no UTF-8 included: they would break the log's lines
            self.faults.append(Fault(name, f"{quoted(text)} holds what cannot be printed", "correct it or unset it"))
            return default
        try:
            return parse(text)
        except _UnfitError as error:
            self.faults.append(Fault(name, error.what, error.remedy))
            return default


def read_settings(environ: Mapping[str, str], now: datetime) -> tuple[Settings, list[Fault]]:
    """The settings, and what is wrong with them: with any fault they serve to look for further faults, not to run.

    `now` is an aware time, for `RUN_DATE=today`. Whether an engine's URL is missing only the plan can tell.
    """
    variables = _Variables(environ)
    config_uri = variables.read("CONFIG_URI", str, "")
    if not environ.get("CONFIG_URI", "").strip():
        remedy = "set it to gs://BUCKET/PREFIX or to a directory"
        variables.faults.append(Fault("CONFIG_URI", "is not set", remedy))
    variables.read("CLOUD_RUN_TASK_COUNT", _one_task, None)
    zone = variables.read("RUN_TIME_ZONE", _time_zone, ZoneInfo("UTC"))
    execution = variables.read("CLOUD_RUN_EXECUTION", _run_id, None)
    settings = Settings(
        config_uri=config_uri,
        engines={name: _engine(variables, name) for name in ALL_ENGINES},
        run_date=variables.read("RUN_DATE", lambda text: _run_date(text, now.astimezone(zone).date()), None),
        run_date_is_explicit=environ.get("RUN_DATE", "").strip() not in {"", "today"},
        time_zone=zone,
        run_id=variables.read("RUN_ID", _run_id, None) or execution,
        runs_uri=variables.read("RUNS_URI", _place, None),
        deadline=variables.read("RUN_DEADLINE_SECONDS", _seconds(1, 7 * 24 * 3600), None),
        execution=execution,
        task_attempt=variables.read("CLOUD_RUN_TASK_ATTEMPT", _whole(0, 1000), 0),
        impersonate=variables.read("IMPERSONATE_SERVICE_ACCOUNT", _service_account, None),
        project=variables.read("GOOGLE_CLOUD_PROJECT", str, None),
    )
    return settings, variables.faults


def _engine(variables: _Variables, name: EngineName) -> EngineSettings:
    prefix = f"{name.upper()}_ENGINE_"
    url = variables.read(f"{prefix}URL", _url, None)
    return EngineSettings(
        url=url,
        audience=variables.read(f"{prefix}AUDIENCE", str, url and _origin(urlsplit(url))),
        # Cloud Run ends every request after 60 minutes
        timeout=variables.read(f"{prefix}TIMEOUT", _seconds(1, 3600), TIMEOUT_DEFAULT[name]),
        concurrency=variables.read(f"{prefix}CONCURRENCY", _whole(1, 1024), CONCURRENCY_DEFAULT[name]),
        attempts=variables.read(f"{prefix}ATTEMPTS", _whole(1, 20), ATTEMPTS_DEFAULT),
        batch_size=variables.read(f"{prefix}BATCH_SIZE", _whole(1, 1000), BATCH_SIZE_DEFAULT) if name in BATCHES else 1,
    )


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise _UnfitError(f"{quoted(text)} is not a whole number from {least} to {most}", "correct it or unset it")
        return int(text)

    return parse


def _seconds(least: int, most: int) -> Callable[[str], float]:
    def parse(text: str) -> float:
        # float() alone takes 1_0 and the digits of every script as well
        seconds = float(text) if re.fullmatch(r"[+-]?[0-9]{1,9}(\.[0-9]{0,9})?", text) else math.nan
        if not least <= seconds <= most:
            what = f"{quoted(text)} is not a number of seconds from {least} to {most}"
            raise _UnfitError(what, "correct it or unset it")
        return seconds

    return parse


def _place(text: str) -> str:
    if "://" in text and not re.match(r"gs://[^/]", text):
        raise _UnfitError(f"{quoted(text)} is no place to write to", "set it to gs://BUCKET/PREFIX or to a directory")
    return text


def _url(text: str) -> str:
    remedy = "set it to the engine's https URL"
    if re.match(r"[^/?#]*//[^/?#]*@", text):  # first of all, as the other faults quote the text
        raise _UnfitError("holds a user name or password", f"{remedy} without them: the token is enough")
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        raise _UnfitError(f"{quoted(text)} is not a URL", remedy) from None
    if url.scheme not in {"https", "http"} or not host or not text.isascii() or re.search(r"[\s\\]", text):
        raise _UnfitError(f"{quoted(text)} is not an https URL", remedy)
    if not _is_host(host) or url.port == 0:
        raise _UnfitError(f"{quoted(text)} names no host that can be", remedy)
    if url.query or url.fragment or "?" in text or "#" in text:
        raise _UnfitError(f"{quoted(text)} has a query or a fragment", remedy)
    if re.search(r"/\.{1,2}(/|\Z)", url.path):  # they would be resolved, and the plan would not show what is sent
        raise _UnfitError(f"{quoted(text)} has dots for a path segment", remedy)
    if url.scheme == "http" and not _is_loopback(host):
        raise _UnfitError(f"{quoted(text)} would send tokens in the clear", f"{remedy}; http goes to loopback only")
    return (url.scheme + text[len(url.scheme) :]).rstrip("/")  # in lower case, as a connection compares it


def _is_host(host: str) -> bool:
    """Whether it is an address or a name as DNS has them; an underscore is no rarity there."""
    if len(host) > 253:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return all(_LABEL.match(label) for label in host.removesuffix(".").split("."))
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _origin(url: SplitResult) -> str:
    """As browsers and Cloud Run write it: in lower case, without the port that goes without saying."""
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    standard = {"https": 443, "http": 80}[url.scheme]
    return f"{url.scheme}://{host}" + (f":{url.port}" if url.port not in {None, standard} else "")


def _time_zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, LookupError):  # what zoneinfo raises depends on how the name is wrong
        raise _UnfitError(
            f"{quoted(text)} is not a time zone", "set it to an IANA name such as Asia/Shanghai"
        ) from None


def _run_date(text: str, today: date) -> str:
    if text == "today":
        return today.isoformat()
    if not is_date(text):
        raise _UnfitError(f"{quoted(text)} is not a date", "write YYYY-MM-DD, or today")
    return text


def is_run_id(text: str) -> bool:
    """Whether it can name a run: it is a part of names in storage."""
    return _RUN_ID.match(text) is not None


def _run_id(text: str) -> str:
    if not is_run_id(text):
        raise _UnfitError(
            f"{quoted(text)} is not a run id", "use up to 128 letters, digits, dots, dashes and underscores"
        )
    return text


def _service_account(text: str) -> str:
    if not _SERVICE_ACCOUNT.match(text):
        raise _UnfitError(f"{quoted(text)} is not a service account", "set it to the account's e-mail address")
    return text


def _one_task(text: str) -> None:
    if text != "1":
        raise _UnfitError(f"is {quoted(text)}", "run the job with one task: the barrier holds only inside one process")
