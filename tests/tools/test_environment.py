"""`.venv` is made by uv with what pip is told, from a mirror of PyPI on loopback; by pip if uv fails."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import ssl
import subprocess
import sys
import threading
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from tests.simulators.job import ROOT
from tests.tools.environment import environment, options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PASSWORD = "secret-of-the-mirror"


def wheel(directory: Path, name: str, version: str, files: Mapping[str, Path | str]) -> str:
    """Writes a wheel, and returns the line of a lock that names it."""
    about = f"{name}-{version}.dist-info"
    texts = {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    contents = {path: file if isinstance(file, str) else file.read_bytes() for path, file in files.items()} | texts
    path = directory / name / f"{name}-{version}-py3-none-any.whl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in contents.items():
            info = zipfile.ZipInfo(member)
            info.external_attr = 0o100755 << 16
            archive.writestr(info, content)
        archive.writestr(f"{about}/RECORD", "".join(f"{member},,\n" for member in [*contents, f"{about}/RECORD"]))
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a mirror serves: uv, as it is installed here, and a package of one line."""
    directory = tmp_path_factory.mktemp("mirror") / "simple"
    found = distribution("uv")
    (program,) = (found.locate_file(file) for file in found.files or [] if file.name == "uv")
    uv = wheel(directory, "uv", found.version, {f"uv-{found.version}.data/scripts/uv": Path(str(program))})
    (directory / "uv.txt").write_text(uv)
    (directory / "tiny.txt").write_text(wheel(directory, "tiny", "1.0", {"tiny.py": "ANSWER = 42\n"}))
    return directory


class Mirror(SimpleHTTPRequestHandler):
    """Lists directories as PyPI's simple pages do; it wants the password."""

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()
        if self.headers["Authorization"] == wanted:
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Basic")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's name
        """Says nothing."""


@contextmanager
def mirror(directory: Path, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serves what is above this directory; gives the address, without the scheme."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Mirror, directory=str(directory.parent))) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"me:{PASSWORD}@127.0.0.1:{server.server_port}/{directory.name}"
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Clone:
    """A clone of nothing but what makes `.venv`."""

    directory: Path
    variables: dict[str, str] = field(default_factory=dict)

    def make(self) -> subprocess.CompletedProcess[str]:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory / "home"),
            "HTTPS_PROXY": "http://127.0.0.1:9",  # nothing is there: whoever asks another place than the mirror fails
            "NO_PROXY": "127.0.0.1",
            "UV_HTTP_RETRIES": "0",
            "PIP_RETRIES": "0",
            **self.variables,
        }
        command = ["make", f"PYTHON={sys.executable}", ".venv/ready"]
        return subprocess.run(command, cwd=self.directory, env=env, capture_output=True, text=True, check=False)

    def installer(self) -> str:
        """What has installed the package."""
        done = subprocess.run(
            [self.directory / ".venv/bin/python", "-c", "import tiny; print(tiny.ANSWER, tiny.__file__)"],
            capture_output=True,
            text=True,
            check=True,
        )
        answer, _, path = done.stdout.strip().partition(" ")
        assert answer == "42"
        return (Path(path).parent / "tiny-1.0.dist-info" / "INSTALLER").read_text().strip()


@pytest.fixture
def clone(packages: Path, tmp_path: Path) -> Clone:
    for name in ("Makefile", "tests/tools/environment.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".locks").mkdir()
    shutil.copy(packages / "uv.txt", tmp_path / ".locks" / "uv.txt")
    shutil.copy(packages / "tiny.txt", tmp_path / ".locks" / "dev.txt")
    return Clone(tmp_path)


def _made_by_uv(clone: Clone) -> None:
    done = clone.make()
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("Making .venv, once: 1 packages, in about 10 seconds")
    assert done.stderr.count("\n") == 1
    assert clone.installer() == "uv"
    assert (clone.directory / ".venv/ready").exists()
    assert {path.name for path in clone.directory.iterdir()} <= {"Makefile", "tests", ".locks", ".venv", "home"}
    # In the home there are caches only; pip asks rustc for its version, and rustup makes a folder of its own.
    assert {path.name for path in (clone.directory / "home").glob("*")} <= {".cache", ".rustup"}


def test_uv_takes_from_the_mirror_that_pips_file_names(clone: Clone, packages: Path) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    settings, authorities = (clone.directory / ".locks" / name for name in ("pip.conf", "ca.pem"))
    authority.cert_pem.write_to_path(authorities)
    with mirror(packages, context) as address:
        settings.write_text(f"[global]\nindex-url = https://{address}\ncert = {authorities}\n")
        clone.variables["PIP_CONFIG_FILE"] = str(settings)
        _made_by_uv(clone)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "why"),
    [("#!/bin/sh\necho no such platform >&2\nexit 2\n", "no such platform\n"), ("\0", "Exec format error")],
    ids=["it ends with an error", "it is not for this machine"],
)
def test_if_uv_fails_pip_installs_and_one_line_says_so(
    clone: Clone, packages: Path, tmp_path: Path, program: str, why: str
) -> None:
    broken = tmp_path / "home" / ".cache"
    lock = wheel(broken, "uv", "0.1", {"uv-0.1.data/scripts/uv": program})
    (clone.directory / ".locks/uv.txt").write_text(lock)
    clone.variables |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": f"{broken / 'uv'} {packages / 'tiny'}"}
    done = clone.make()
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[1:] == [
        "uv could not install them (.venv/uv.log says why). pip installs them now, in a minute or more …"
    ]
    assert why in (clone.directory / ".venv/uv.log").read_text()
    assert clone.installer() == "pip"


@pytest.mark.slow
def test_another_hash_than_the_locks_is_installed_by_neither(clone: Clone, packages: Path) -> None:
    lock = clone.directory / ".locks/dev.txt"
    lock.write_text(f"tiny==1.0 --hash=sha256:{'0' * 64}\n")
    with mirror(packages) as address:
        clone.variables["PIP_INDEX_URL"] = f"http://{address}"
        done = clone.make()
    assert done.returncode == 2
    assert "hash" in done.stderr.lower()
    assert PASSWORD not in done.stderr + (clone.directory / ".venv/uv.log").read_text()
    assert not (clone.directory / ".venv/ready").exists()
    assert not list((clone.directory / ".venv").rglob("tiny.py"))


@pytest.mark.parametrize(
    ("told", "inherited", "variables"),
    [
        ({"proxy": "http://p:1"}, {}, {"HTTPS_PROXY": "http://p:1", "http_proxy": "http://p:1"}),
        ({"index-url": "http://a"}, {"UV_DEFAULT_INDEX": "http://b"}, {"UV_DEFAULT_INDEX": "http://b"}),
        ({"cert": "/ca.pem"}, {"SSL_CERT_FILE": "/other.pem"}, {"SSL_CERT_FILE": "/ca.pem"}),
        ({"cert": "/"}, {}, {"SSL_CERT_DIR": "/"}),
        ({}, {"REQUESTS_CA_BUNDLE": "/ca.pem"}, {"SSL_CERT_FILE": "/ca.pem"}),
        ({"extra-index-url": "\nhttp://a\nhttp://b"}, {}, {"UV_INDEX": "http://a http://b"}),
        ({}, {"UV_SYSTEM_PYTHON": "1"}, {"UV_SYSTEM_PYTHON": None}),
    ],
)
def test_what_pip_is_told_in_uvs_variables(
    told: dict[str, str], inherited: dict[str, str], variables: dict[str, str | None]
) -> None:
    made = environment(told, inherited)
    assert {name: made.get(name) for name in variables} == variables


def test_what_pip_is_told_in_uvs_options() -> None:
    told = {"no-index": "yes", "only-binary": ":all:", "no-binary": "a,b"}
    assert options(told) == ["--no-index", "--no-binary=a", "--no-binary=b", "--only-binary=:all:"]
