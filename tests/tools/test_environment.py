"""`.venv` is made by uv, from the index and with the authorities that pip is told of; by pip if uv fails."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.simulators.job import ROOT
from tests.support.environment import bare

PYTHON = """#!/bin/sh
[ "$2" = venv ] || exit 0
mkdir -p .venv/bin
cat >.venv/bin/pip <<'END'
#!/bin/sh
echo "pip $*" >&2
[ "$PIP_USER$PIP_TARGET$PYTHONSAFEPATH" = 0 ] || exit 1
[ "$2" != config ] || printf "%s\\n" "global.index-url='https://mirror/'" "install.cert='/mirror.pem'"
END
cat >.venv/bin/uv <<'END'
#!/bin/sh
echo "uv from $UV_DEFAULT_INDEX, by $SSL_CERT_FILE: $*" >&2
exit "$UV_EXITS"
END
chmod +x .venv/bin/*
"""
"""Says what it is asked, in place of Python, pip and uv."""


@pytest.mark.parametrize(("code", "installers"), [("0", ["pip", "uv"]), ("1", ["pip", "uv", "pip"])])
def test_uv_is_told_of_what_pip_is_told_and_pip_installs_what_uv_cannot(
    tmp_path: Path, code: str, installers: list[str]
) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".locks").mkdir()
    (tmp_path / ".locks/dev.txt").touch()
    shutil.copy(ROOT / ".locks/install.sh", tmp_path / ".locks")
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    env = bare(UV_EXITS=code, PIP_USER="1", PIP_TARGET="/elsewhere", PYTHONSAFEPATH="1")
    command = ["make", "PYTHON=./python", ".venv/ready"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    said = [*(tmp_path / ".venv/uv.log").read_text().splitlines(), *done.stderr.splitlines()]
    installed = [line for line in said if "--require-hashes --no-deps" in line]
    assert [line.split()[0] for line in installed] == installers
    assert installed[1].startswith("uv from https://mirror/, by /mirror.pem: pip install ")
    assert done.stdout == "", "the address of a mirror may have a password in it"
    failed = "uv could not install them (.venv/uv.log says why). pip installs them now, in a minute or more …"
    assert (failed in done.stderr.splitlines()) is (code == "1")
    assert (tmp_path / ".venv/ready").exists()
    shutil.copy("/bin/true", tmp_path / ".venv/bin/python")
    assert subprocess.run([*command, "--question"], cwd=tmp_path, env=env, check=False).returncode == 0
    (tmp_path / ".venv/bin/python").unlink()  # a Python that is gone
    assert subprocess.run([*command, "--question"], cwd=tmp_path, env=env, check=False).returncode == 1
