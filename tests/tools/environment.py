"""`environment.py DIRECTORY LOCK`: makes a virtual environment of exactly what the lock names.

uv installs it, several times as fast as pip, which installs uv alone, by its hash. uv does not know where pip is told
to look, such as a mirror of PyPI, so that is passed on to it. If uv fails, pip installs everything.

It runs before there is an environment, so it has nothing but the standard library.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

EXACTLY = ("--require-hashes", "--no-deps")
"""The lock is whole, and leaves out what no test needs of its packages' dependencies."""
PIP = ("--quiet", "--disable-pip-version-check", *EXACTLY)
TRUE = ("1", "true", "yes", "on", "y", "t")


class FailedError(Exception):
    """A command failed. Has what it printed."""


def main(arguments: Sequence[str]) -> int | str:
    """Returns the exit code, or the error."""
    if sys.version_info < (3, 11):  # noqa: UP036  any interpreter may run this
        return "Python 3.11 or newer is needed; try make PYTHON=python3.12"
    place, lock = (Path(argument) for argument in arguments)
    if place.is_symlink():
        return f"Stopped: {place} is a link, and the directory behind it would be emptied; remove the link first."
    count = sum("==" in line for line in lock.read_text().splitlines())
    _say(f"Making {place}, once: {count} packages, in about 10 seconds, or longer over a slow connection …")
    try:
        _install_with_uv(place, lock)
    except subprocess.CalledProcessError as error:  # there can be no environment, and its output says why
        return error.returncode
    except FailedError as error:
        subprocess.run([_base(), "-m", "venv", "--clear", place], check=True)
        log = place / "uv.log"
        log.write_text(str(error))
        _say(f"uv could not install them ({log} says why). pip installs them now, in a minute or more …")
        return subprocess.run([_python(place), "-m", "pip", "install", *PIP, "-r", lock], check=False).returncode
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _base() -> str:
    """The interpreter itself, even if an activated environment, perhaps the one that is made again, runs this."""
    return str(getattr(sys, "_base_executable", sys.executable))


def _python(place: Path) -> Path:
    return place / "bin" / "python"


def _install_with_uv(place: Path, lock: Path) -> None:
    """Raises `FailedError` if pip cannot install uv, or uv not the lock."""
    python = _python(place)
    # The interpreter's own pip saves the seconds in which venv installs another. Debian has it in a package of its own.
    has_pip = subprocess.run([_base(), "-c", "import pip"], stderr=subprocess.DEVNULL, check=False).returncode == 0
    subprocess.run([_base(), "-m", "venv", "--clear", *(["--without-pip"] if has_pip else []), place], check=True)
    pip = [_base(), "-m", "pip", "--python", str(python)] if has_pip else [str(python), "-m", "pip"]
    _run([*pip, "install", *PIP, "-r", lock.with_name("uv.txt")])
    told = _told(pip)
    uv: list[str | Path] = [python.with_name("uv"), "pip", "install", "--quiet", "--python", python, *EXACTLY]
    _run([*uv, *options(told), "-r", lock], environment(told, os.environ))


def _run(command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    except OSError as error:  # it is not for this machine
        raise FailedError(str(error)) from error
    if done.returncode:
        raise FailedError(done.stdout + done.stderr)
    return done.stdout


def _told(pip: Sequence[str]) -> dict[str, str]:
    """What pip's files and variables say about `pip install`, by the name of the option."""
    told: dict[str, str] = {}
    values: dict[str, str] = {}
    for line in _run([*pip, "config", "list"]).splitlines():
        key, _, value = line.partition("=")
        # Newer pips list what two files say in the order of the files' names, which is not the order of precedence.
        values[key] = _run([*pip, "config", "get", key]).strip() if key in values else ast.literal_eval(value)
    for section in ("global", "install", ":env:"):  # the later one wins
        told |= {key.removeprefix(f"{section}."): values[key] for key in values if key.startswith(f"{section}.")}
    return {name: value for name, value in told.items() if value.strip()}  # pip ignores empty ones


def options(told: Mapping[str, str]) -> list[str]:
    """The options of `uv pip install` for what pip is told: those that no variable can say."""
    given = ["--no-index"] if told.get("no-index", "").lower() in TRUE else []
    for name in ("no-binary", "only-binary"):
        given += [f"--{name}={package}" for package in told.get(name, "").replace(",", " ").split()]
    return given


def environment(told: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    """The variables of uv for where pip is told to look. An address may hold a password: none is on a command line."""
    # As pip does, uv looks for a version in every index (the hashes decide), and trusts the system's authorities.
    variables = {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_SYSTEM_CERTS": "true"}
    for option, name in (
        ("index-url", "UV_DEFAULT_INDEX"),
        ("extra-index-url", "UV_INDEX"),
        ("trusted-host", "UV_INSECURE_HOST"),
    ):
        if option in told:
            variables[name] = " ".join(told[option].split())
    if links := list(_existing(told.get("find-links", "").split())):
        variables["UV_FIND_LINKS"] = ",".join(links)
    own = {name: value for name, value in inherited.items() if name != "UV_SYSTEM_PYTHON"}
    own |= {name: value for name, value in variables.items() if not own.get(name)}
    if authorities := told.get("cert") or own.get("REQUESTS_CA_BUNDLE") or own.get("CURL_CA_BUNDLE"):
        own["SSL_CERT_DIR" if Path(authorities).is_dir() else "SSL_CERT_FILE"] = authorities
    if "proxy" in told:
        own |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), told["proxy"])
    return own


def _existing(links: Iterable[str]) -> Iterable[str]:
    """Without directories that are not there: pip ignores them, uv would stop."""
    for link in links:
        path = Path(link).expanduser()
        if "://" in link or link.startswith("file:"):
            yield link
        elif path.exists():
            yield str(path)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
