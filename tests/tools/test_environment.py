"""`.venv` is made by uv from the index that pip is told of, here a directory; by pip if uv fails."""

import hashlib
import os
import shutil
import ssl
import subprocess
import sys
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path

import pytest
import trustme

from tests.simulators.job import ROOT


def wheel(directory: Path, name: str, version: str, files: Mapping[str, Path | str]) -> str:
    """Writes a wheel into an index, and returns the line of a lock that names it."""
    about = f"{name}-{version}.dist-info"
    texts = {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    contents = {path: file if isinstance(file, str) else file.read_bytes() for path, file in files.items()} | texts
    path = directory / name / f"{name}-{version}-py3-none-any.whl"
    path.parent.mkdir(parents=True)
    (path.parent / "index.html").write_text(f'<a href="{path.name}">{path.name}</a>')
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in contents.items():
            info = zipfile.ZipInfo(member)
            info.external_attr = 0o100755 << 16
            archive.writestr(info, content)
        archive.writestr(f"{about}/RECORD", "".join(f"{member},,\n" for member in [*contents, f"{about}/RECORD"]))
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of uv, as it is installed here, and of a package of one line."""
    directory = tmp_path_factory.mktemp("index")
    found = distribution("uv")
    (program,) = (found.locate_file(file) for file in found.files or [] if file.name == "uv")
    uv = wheel(directory, "uv", found.version, {f"uv-{found.version}.data/scripts/uv": Path(str(program))})
    (directory / "uv.txt").write_text(uv)
    (directory / "tiny.txt").write_text(wheel(directory, "tiny", "1.0", {"tiny.py": "ANSWER = 42\n"}))
    return directory


@dataclass
class Clone:
    """A clone of nothing but what makes `.venv`."""

    directory: Path
    variables: dict[str, str] = field(default_factory=dict)

    def make(self) -> subprocess.CompletedProcess[str]:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory / "home"),
            "HTTPS_PROXY": "http://127.0.0.1:9",  # nothing is there: whoever asks another place than the index fails
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
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".locks").mkdir()
    shutil.copy(packages / "uv.txt", tmp_path / ".locks" / "uv.txt")
    shutil.copy(packages / "tiny.txt", tmp_path / ".locks" / "dev.txt")
    return Clone(tmp_path)


PYTHON = """#!/bin/sh
[ "$2" = venv ] || exit 0
mkdir -p .venv/bin
cat >.venv/bin/pip <<'END'
#!/bin/sh
echo "pip $*" >&2
[ "$2" != config ] || echo "global.index-url='https://mirror/'"
END
cat >.venv/bin/uv <<'END'
#!/bin/sh
echo "uv from $UV_DEFAULT_INDEX: $*" >&2
exit "$UV_EXITS"
END
chmod +x .venv/bin/*
"""
"""Says what it is asked, in place of Python, pip and uv."""


@pytest.mark.parametrize(("code", "installers"), [("0", ["pip", "uv"]), ("1", ["pip", "uv", "pip"])])
def test_uv_is_told_of_pips_index_and_pip_installs_what_uv_cannot(
    tmp_path: Path, code: str, installers: list[str]
) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".locks").mkdir()
    (tmp_path / ".locks/dev.txt").touch()
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    env = {"PATH": os.environ["PATH"], "UV_EXITS": code}
    command = ["make", "PYTHON=./python", ".venv/ready"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    said = [*(tmp_path / ".venv/uv.log").read_text().splitlines(), *done.stderr.splitlines()]
    installed = [line for line in said if "--require-hashes --no-deps" in line]
    assert [line.split()[0] for line in installed] == installers
    assert installed[1].startswith("uv from https://mirror/: pip install ")
    assert done.stdout == "", "the address of a mirror may have a password in it"
    failed = "uv could not install them (.venv/uv.log says why). pip installs them now, in a minute or more …"
    assert (failed in done.stderr.splitlines()) is (code == "1")
    assert (tmp_path / ".venv/ready").exists()


@pytest.mark.slow
def test_uv_trusts_the_authorities_that_pip_is_told_of(clone: Clone, packages: Path) -> None:
    """As behind a proxy of a company, which opens what is sent over TLS."""
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(clone.directory / "authority.pem"))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=packages)) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever).start()
        clone.variables |= {
            "PIP_INDEX_URL": f"https://127.0.0.1:{server.server_port}",
            "PIP_CERT": str(clone.directory / "authority.pem"),
            "NO_PROXY": "127.0.0.1",
        }
        done = clone.make()
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert clone.installer() == "uv"
