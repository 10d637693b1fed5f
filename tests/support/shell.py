"""A command that the job advises, as a shell, gcloud and make hand it back to the job."""

import shlex


def arguments_in(command: str) -> list[str]:
    """The arguments that the job gets if somebody pastes the command into a shell."""
    words = shlex.split(command)
    while "=" in words[0]:  # a variable
        del words[0]
    if words[:2] == ["make", "run-local"]:
        return shlex.split(words[2].removeprefix("ARGS="))
    if words[0] == "gcloud":
        assert words[1:4] == ["run", "jobs", "execute"]
        given = [word.removeprefix("--args=") for word in words if word.startswith("--args=")]
        return _listed(given[0]) if given else ["run"]
    assert words[:3] == ["python", "-m", "job"]
    return words[3:]


def _listed(value: str) -> list[str]:
    """A list as gcloud reads it: `gcloud topic escaping`."""
    delimiter = ","
    if value.startswith("^") and "^" in value[1:]:
        delimiter, _, value = value[1:].partition("^")
    return value.split(delimiter)
