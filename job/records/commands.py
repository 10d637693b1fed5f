"""Commands and links for people: how to resume a run, and where its page is. Commands are quoted for a shell."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from job.config.environment import Settings
from job.engines.failures import Then
from job.records.format import CARDS, NIGHTS_PAGE, PAGE, name_of
from job.records.inputs import RunInputs
from job.storage.uri import absolute, address_of
from job.text.messages import Message, message, plural, template


def resume_command(inputs: RunInputs, then: Then = "resume") -> str:
    """The command that resumes a run: on Cloud Run if it began there, else on a laptop.

    `then` selects its recorded config or the current one.
    """
    arguments = [inputs.run_id, *(["--new-config"] if then == "new_config" else [])]
    if inputs.resume_with is not None:
        return f"{inputs.resume_with}{shlex.quote(' '.join(arguments))}"
    return _command(inputs, ["resume", *arguments])


def start_command(inputs: RunInputs) -> str:
    """The command that starts a new run for the day of a recorded one."""
    return _command(inputs, [], inputs.day)


def ways_on(inputs: RunInputs, then: Then, moment: datetime) -> tuple[str | None, str | None]:
    """The command that resumes a run at this moment, and the one that starts a new run for its day.

    Only a run without a date needs the second one: it cannot be resumed on a later day, on which the first is `None`.
    """
    resume = resume_command(inputs, then) if inputs.other_day(moment) is None else None
    return resume, start_command(inputs) if inputs.date is None else None


def again_command(settings: Settings, arguments: Sequence[str]) -> str:
    """The command that starts the job with these settings again, with the same arguments.

    A new run is for the same date, if it had one. A resumed run takes its date from its record.
    """
    return _command(settings, arguments, None if arguments else settings.run_date)


def _command(place: RunInputs | Settings, arguments: Sequence[str], date: str | None = None) -> str:
    if place.job is None:
        command = _on_a_laptop(place.runs_uri, *arguments)
        return command if date is None else f"RUN_DATE={date} {command}"
    where = {"region": place.region, "project": place.project}
    options = [f"--{name}={value}" for name, value in where.items() if value is not None]
    if date is not None:
        options.append(f"--update-env-vars=RUN_DATE={date}")
    if arguments:
        options.append(f"--args={','.join(arguments)}")
    return shlex.join(["gcloud", "run", "jobs", "execute", place.job, *options])


def list_command(runs_uri: str | None) -> str:
    """The command that lists the latest runs."""
    return _on_a_laptop(runs_uri, "runs")


def show_command(run_id: str, runs_uri: str) -> str:
    """The command that shows a run."""
    return _on_a_laptop(runs_uri, "report", run_id)


def plan_command(config_uri: str) -> str:
    """The command that shows every fault of the config at this place, or what it makes a run call."""
    return _on_a_laptop(None, "plan", config_uri)


def missing_command(run_id: str, runs_uri: str | None) -> str:
    """The command that lists every card of a run that is not there; `runs_uri` is as in `RunInputs`."""
    return _on_a_laptop(runs_uri, "report", run_id, "--missing")


def table_command(run_id: str, runs_uri: str | None) -> str:
    """The command that writes every card of a run into a table; `runs_uri` is as in `RunInputs`."""
    return _on_a_laptop(runs_uri, "report", run_id, "--csv", CARDS)


def _on_a_laptop(runs_uri: str | None, *arguments: str) -> str:
    command = shlex.join(["python", "-m", "job", *arguments])
    return command if runs_uri is None else f"RUNS_URI={shlex.quote(absolute(runs_uri))} {command}"


def page_address(runs_uri: str, run_id: str) -> str:
    """Where to open the page of a run: a path, or a URL for a browser that is signed in to Google."""
    return address_of(runs_uri, name_of(run_id, PAGE))


def page_link(runs_uri: str, run_id: str, *, beside: bool) -> str:
    """The link from the page of the nights to that of a run. `beside`: the page of the nights is stored with the runs.

    In a bucket it is absolute: the browser is redirected to another address, where a relative link would not work.
    """
    return _link(runs_uri, name_of(run_id, PAGE), name_of(run_id, PAGE) if beside else None)


def nights_link(runs_uri: str, *, beside: bool) -> str:
    """The link from the page of a run to that of the nights. `beside`: the run's page is stored in its record."""
    return _link(runs_uri, NIGHTS_PAGE, f"../{NIGHTS_PAGE}" if beside else None)


def table_link(runs_uri: str, run_id: str, *, beside: bool) -> str:
    """The link from the page of a run to the table of its cards; `beside` as in `nights_link`."""
    return _link(runs_uri, name_of(run_id, CARDS), CARDS if beside else None)


def _link(runs_uri: str, name: str, relative: str | None) -> str:
    address = address_of(runs_uri, name)
    if runs_uri.startswith("gs://"):
        return address
    return relative or Path(address).absolute().as_uri()


ONCE_CORRECTED = template("Once that is corrected, this starts it again:")
"""The sentence before the command that starts a run again after faults of its config."""
_ONCE_PUT_RIGHT = template("Once the cause is put right, this requests only what is missing:")
_WHEN: Mapping[str, str] = {
    "deadline": template("Go on with what is missing:"),
    "interrupted": template("Go on with what is missing:"),
    "busy": template("Once the other run has ended, this requests only what is missing:"),
    "no_lease": template("Once storage can be reached, this requests only what is missing:"),
    "lease_lost": template(
        "Once no other run is at work and storage can be written, this requests only what is missing:"
    ),
    "unfinished": template("Go on with what is missing:"),
}
"""The sentence before the command, by the outcome of a run in which nothing has to be corrected first."""


def how_to_go_on(outcome: str, then: Then, made: int) -> Message:
    """The sentence before the command that resumes a run; `made` is how many of its cards are made."""
    if then != "new_config":
        return message(_WHEN.get(outcome, _ONCE_PUT_RIGHT))
    if not made:
        return message("Once the config is corrected, this requests only what is missing:")
    return plural(
        "A new run would make the 1 card that is there again. Once the config is corrected, this requests only what is "
        "missing:",
        "A new run would make the {count} cards that are there again. Once the config is corrected, this requests only "
        "what is missing:",
        count=made,
    )


def on_a_later_day(day: str) -> Message:
    """The sentence before the command that starts a new run for the day of a run without a date."""
    return message(
        "The run has no date of its own, so it can be resumed only on {day}. On a later day, this starts a new run for "
        "{day}, which makes all its cards:",
        day=day,
    )


def unrecorded_lines(missing: int, made: int) -> Iterator[Message]:
    """The lines in place of a command if the run is not recorded: how many cards are missing, and how many are made."""
    if missing:
        yield plural(
            "1 card is missing. Only a recorded run lists its missing cards: set RUNS_URI.",
            "{count} cards are missing. Only a recorded run lists its missing cards: set RUNS_URI.",
            count=missing,
        )
    if made:
        yield plural(
            "This run is not recorded and cannot be resumed: a new run makes the 1 card that is there again.",
            "This run is not recorded and cannot be resumed: a new run makes the {count} cards that are there again.",
            count=made,
        )
    else:
        yield message("This run is not recorded and cannot be resumed: start a new run.")
