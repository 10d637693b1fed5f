"""Code knows facts, and says them last: it asks no message what it says, to learn what happened."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

JOB = Path(__file__).parents[2] / "job"
MODULES = [path for path in sorted(JOB.rglob("*.py")) if path.parent.name != "text"]
MAKERS = {"message", "plural", "template", "Message"}
READERS = {"startswith", "endswith", "find", "partition", "split"}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def is_made(node: ast.AST, names: set[str]) -> bool:
    """Whether an expression is a message, or a set or a sequence with one."""
    if isinstance(node, ast.Set | ast.Tuple | ast.List):
        return any(is_made(one, names) for one in node.elts)
    function = node.func if isinstance(node, ast.Call) else node
    return isinstance(function, ast.Name) and function.id in names


def constants(path: Path) -> set[str]:
    """The constants of a module that are messages, or have some."""
    found = set(MAKERS)
    for node in parsed(path).body:
        if isinstance(node, ast.Assign) and is_made(node.value, found):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found - MAKERS


@cache
def fields() -> tuple[set[str], set[str]]:
    """The names of fields and properties that are messages, or have some; and of those that are something else."""
    messages, others = set[str](), set[str]()
    for node in (node for path in MODULES for node in ast.walk(parsed(path))):
        if isinstance(node, ast.AnnAssign | ast.FunctionDef):
            kind = node.annotation if isinstance(node, ast.AnnAssign) else node.returns
            target = node.target if isinstance(node, ast.AnnAssign) else node
            name = getattr(target, "attr", getattr(target, "name", getattr(target, "id", "")))
            (messages if kind is not None and "Message" in ast.unparse(kind) else others).add(name)
    return messages, others


def is_message(node: ast.AST, names: set[str]) -> bool:
    """Whether it is a message, its id, or its text."""
    messages, others = fields()
    match node:
        case ast.NamedExpr(value=value) | ast.Call(func=ast.Name(id="str"), args=[value]):
            return is_message(value, names)
        case ast.Attribute(attr="id" | "values", value=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name in messages
        case ast.Attribute(attr=name):
            return name in messages - others
    return is_made(node, names | MAKERS)


def names_in(path: Path) -> set[str]:
    """The constants that a module knows and that are messages."""
    names = constants(path)
    for node in parsed(path).body:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            source = JOB.parent.joinpath(*node.module.split(".")).with_suffix(".py")
            names |= {one.name for one in node.names} & (constants(source) if source.exists() else set())
    return names


def read_back(tree: ast.Module, names: set[str]) -> Iterator[str]:
    """The expressions that ask a message what it says."""
    for node in ast.walk(tree):
        asked: list[ast.expr] = []
        if isinstance(node, ast.Compare) and not isinstance(node.ops[0], ast.Is | ast.IsNot):
            asked = [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in READERS:
            asked = [node.func.value]
        if any(is_message(one, names) for one in asked):
            yield ast.unparse(node)


def test_no_message_is_asked_what_it_says() -> None:
    assert {text for path in MODULES for text in read_back(parsed(path), names_in(path))} == set()


@pytest.mark.parametrize(
    "text", ["group.heading == done", "note.id != TEXT", "one in {TEXT}", "str(fault.where).startswith('is')"]
)
def test_it_sees_who_asks(text: str) -> None:
    assert list(read_back(ast.parse(text), {"TEXT"})) == [text]
