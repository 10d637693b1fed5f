"""Every library that the job imports is a dependency of its own, not only one of another library."""

import ast
import re
import sys
import tomllib
from importlib.metadata import distribution
from importlib.util import find_spec

from tests.simulators.job import ROOT


def imported() -> set[str]:
    """The modules of other projects that the job imports."""
    found: set[str] = set()
    for file in ROOT.glob("job/**/*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
    return {name for name in found if name.partition(".")[0] not in {"job", *sys.stdlib_module_names}}


def file_of(module: str) -> str | None:
    """The file of a module; `None` if it is no module, but a name in one, or a package of several projects."""
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        return None
    return spec.origin if spec is not None else None


def test_every_import_is_of_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.split("[<>=!~ ]", requirement)[0] for requirement in project["dependencies"]]
    declared = {str(found.locate_file(file)) for found in map(distribution, names) for file in found.files or ()}
    files = {module: file for module in imported() if (file := file_of(module)) is not None}
    assert len(files) > 20
    assert {module for module, file in files.items() if file not in declared} == set()
