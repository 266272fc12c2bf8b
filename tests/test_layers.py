"""Imports go one way, only the keeper spawns, and a few habits that no linter checks."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

__all__: list[str] = []

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("protocols", "actors", "supervisor", "tests")
KEEPER = "actors/keeper_process"
# Who may spawn: the keeper its workers, its client the keeper, a terminal its guard, tmux's sources its clients;
# who wants to know the version of a program, or asks git where there is no keeper; who starts us in the background.
SPAWNERS = {
    "actors/schema_check.py",  # a process that limits itself
    *("actors/keeper_link.py", "actors/live/guard.py", "actors/tmux_process.py"),
    *("actors/git_program.py", "actors/program_version.py", "supervisor/detaching.py"),
}
# Who may become another program: nothing of ours runs then.
BECOMES = {"supervisor/cli/attach.py", "supervisor/succession.py"}
# Who may catch everything: the restarts, and the guard around each connection.
GUARDS = {"supervisor/children.py", "actors/control_port.py", "actors/port/port.py"}
# What does I/O, waits or counts on a loop. (Files are opened by builtins and `os`: that is left to the eye.)
IO_MODULES = {
    *("asyncio", "concurrent", "ctypes", "fcntl", "ftplib", "http", "httpx", "logging", "mmap", "multiprocessing"),
    *("pty", "queue", "select", "selectors", "shutil", "signal", "smtplib", "socket", "socketserver", "sqlite3", "ssl"),
    *("subprocess", "tempfile", "termios", "threading", "trio", "tty", "urllib"),
}
SPAWNING = {
    "subprocess": "*",
    "multiprocessing": "*",
    "pty": "*",
    "trio": {"run_process"},
    "trio.lowlevel": {"open_process"},
    "asyncio": {"create_subprocess_exec", "create_subprocess_shell"},
    "os": {"fork", "forkpty", "popen", "posix_spawn", "posix_spawnp", "system"}
    | {f"{kind}{how}" for kind in ("exec", "spawn") for how in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")},
}
MAX_LINES = 300


def violations(path: str, source: str) -> list[str]:
    """What is wrong with the module ``path`` (from the root of the checkout), as ``file:line: what``."""
    tree = ast.parse(source)
    found = [*_imports(path, tree), *_catches(path, tree), *_shape(path, tree, source)]
    if not path.startswith("tests/"):
        found += _spawns(path, tree)
    return [f"{path}:{line}: {what}" for line, what in sorted(found)]


def _imports(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, "relative import; name the package"
        for line, name in _modules(node):
            if (reason := _refusal(path, name)) is not None:
                yield line, f"imports {name}: {reason}"
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield node.lineno, "TYPE_CHECKING; an import that would be circular lives in the wrong module"


def _modules(node: ast.AST) -> list[tuple[int, str]]:
    match node:
        case ast.Import(names=names):
            return [(node.lineno, alias.name) for alias in names]
        case ast.ImportFrom(module=str(module), level=0):
            return [(node.lineno, module)]
        case _:
            return []


def _refusal(path: str, module: str) -> str | None:
    """Why the module ``path`` may not import ``module``."""
    package, top = path.partition("/")[0], module.partition(".")[0]
    if path.startswith(KEEPER + "/"):
        own = module == "actors.keeper_process" or module.startswith("actors.keeper_process.")
        return None if own or top in sys.stdlib_module_names else "the keeper has only itself and the standard library"
    if top in PACKAGES:
        return None if PACKAGES.index(top) <= PACKAGES.index(package) else f"{package} may not know {top}"
    if package != "protocols":
        return None
    if top in IO_MODULES:
        return "protocols do no I/O"
    return None if top in sys.stdlib_module_names | {"msgspec"} else "protocols use the standard library and msgspec"


def _spawns(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    spawner = path in SPAWNERS or path.startswith(KEEPER + "/")
    for node in ast.walk(tree):
        for module, name in _uses(node):
            if spawner and (module, name) == ("os", "posix_spawn"):
                continue
            if path in BECOMES and (module, name) == ("os", "execv"):
                continue
            if "*" in SPAWNING[module] or name in SPAWNING[module]:
                yield getattr(node, "lineno", 0), f"{module}.{name}: only the keeper spawns, by os.posix_spawn"
        if isinstance(node, ast.keyword) and node.arg == "preexec_fn":
            yield node.lineno, "preexec_fn is slow and not safe with threads"


def _uses(node: ast.AST) -> Iterator[tuple[str, str]]:
    """The names that ``node`` takes out of a module that can spawn."""
    match node:
        case ast.Import(names=names):
            yield from ((alias.name, "*") for alias in names if alias.name in SPAWNING)
        case ast.ImportFrom(module=str(module), names=names) if module in SPAWNING:
            yield from ((module, alias.name) for alias in names)
        case ast.Attribute(value=value, attr=name) if (module := ast.unparse(value)) in SPAWNING:
            yield module, name


def _catches(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.ExceptHandler(type=None):
                yield node.lineno, "bare except; name the error"
            case ast.ExceptHandler(type=ast.expr() as caught, body=[*_, last]):
                passed_on = isinstance(last, ast.Raise) and last.exc is None
                if path not in GUARDS and not passed_on:
                    yield from _too_broad(node.lineno, [caught])
            case ast.Call(func=function, args=args) if ast.unparse(function).endswith("suppress"):
                yield from _too_broad(node.lineno, args)
            case _:
                pass


def _too_broad(line: int, caught: list[ast.expr]) -> Iterator[tuple[int, str]]:
    for node in (each for expression in caught for each in ast.walk(expression)):
        if isinstance(node, ast.Name) and node.id in {"Exception", "BaseException"}:
            yield line, f"swallows every {node.id}; name the error"


def _shape(path: str, tree: ast.Module, source: str) -> Iterator[tuple[int, str]]:
    if PurePosixPath(path).name == "__init__.py" and len(tree.body) > 1:
        yield tree.body[1].lineno, "an __init__.py holds only its docstring"
    if path.startswith("tests/"):
        return
    if ast.get_docstring(tree) is None:
        yield 1, "no docstring that says what the module is for"
    lines = len(source.splitlines())
    if lines > MAX_LINES:
        yield MAX_LINES + 1, f"{lines} lines; split the module by subject at {MAX_LINES}"


def test_every_module_keeps_to_its_layer() -> None:
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]

    found = [
        line
        for path in paths
        for line in violations(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    ]

    assert {path.relative_to(ROOT).parts[0] for path in paths} == set(PACKAGES)
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("protocols/a.py", "import msgspec, json, re"),
        ("protocols/a.py", "from protocols.ids import TaskId"),
        ("actors/a.py", "import trio"),
        ("actors/a.py", "from actors.keeper_process.procfs import describe"),
        ("supervisor/cli/a.py", "from actors.hub import Hub"),
        ("tests/test_a.py", "import subprocess, supervisor.app"),
        ("actors/keeper_process/a.py", "from actors.keeper_process.status import Status; import os; os.posix_spawn()"),
        ("actors/keeper_link.py", "import os; os.posix_spawn()"),
        ("supervisor/children.py", "try: ...\nexcept Exception: ..."),
        ("supervisor/a.py", "try: ...\nexcept BaseException:\n    undo()\n    raise"),
    ],
)
def test_what_a_layer_may_do_is_not_reported(path: str, line: str) -> None:
    assert violations(path, f'"""One sentence."""\n{line}\n') == []


@pytest.mark.parametrize(
    ("path", "line", "what"),
    [
        ("protocols/a.py", "import socket", "imports socket: protocols do no I/O"),
        ("protocols/a.py", "import trio", "imports trio: protocols do no I/O"),
        ("protocols/a.py", "import attrs", "imports attrs: protocols use the standard library and msgspec"),
        ("protocols/a.py", "from actors.hub import Hub", "imports actors.hub: protocols may not know actors"),
        ("protocols/a.py", "def f(): import urllib.request", "imports urllib.request: protocols do no I/O"),
        ("actors/a.py", "from supervisor.app import run", "imports supervisor.app: actors may not know supervisor"),
        ("supervisor/a.py", "import tests.fake", "imports tests.fake: supervisor may not know tests"),
        ("actors/a.py", "from .hub import Hub", "relative import; name the package"),
        (
            "actors/keeper_process/a.py",
            "from protocols.keeper import Spawn",
            "imports protocols.keeper: the keeper has only itself and the standard library",
        ),
        ("actors/a.py", "os.posix_spawn()", "os.posix_spawn: only the keeper spawns, by os.posix_spawn"),
        ("actors/keeper_process/a.py", "os.fork()", "os.fork: only the keeper spawns, by os.posix_spawn"),
        ("actors/a.py", "from os import execvp", "os.execvp: only the keeper spawns, by os.posix_spawn"),
        ("actors/a.py", "trio.run_process", "trio.run_process: only the keeper spawns, by os.posix_spawn"),
        ("supervisor/a.py", "import subprocess", "subprocess.*: only the keeper spawns, by os.posix_spawn"),
        (
            "supervisor/a.py",
            "trio.lowlevel.open_process",
            "trio.lowlevel.open_process: only the keeper spawns, by os.posix_spawn",
        ),
        ("actors/a.py", "start(preexec_fn=f)", "preexec_fn is slow and not safe with threads"),
        ("supervisor/a.py", "with suppress(OSError, Exception): ...", "swallows every Exception; name the error"),
        ("actors/__init__.py", "from actors.hub import Hub", "an __init__.py holds only its docstring"),
        (
            "tests/a.py",
            "if TYPE_CHECKING: import trio",
            "TYPE_CHECKING; an import that would be circular lives in the wrong module",
        ),
    ],
)
def test_a_violation_is_reported_with_its_line(path: str, line: str, what: str) -> None:
    assert violations(path, f'"""One sentence."""\n{line}\n') == [f"{path}:2: {what}"]


@pytest.mark.parametrize(
    ("handler", "what"),
    [
        ("except:", "bare except; name the error"),
        ("except Exception:", "swallows every Exception; name the error"),
        ("except (OSError, BaseException) as exc:", "swallows every BaseException; name the error"),
        ("except* Exception:", "swallows every Exception; name the error"),
    ],
)
def test_catching_everything_is_reported(handler: str, what: str) -> None:
    assert violations("actors/a.py", f'"""One sentence."""\ntry: ...\n{handler} ...\n') == [f"actors/a.py:3: {what}"]


def test_a_module_without_a_docstring_or_with_too_many_lines_is_reported() -> None:
    assert violations("actors/a.py", "import os\n" * 301) == [
        "actors/a.py:1: no docstring that says what the module is for",
        "actors/a.py:301: 301 lines; split the module by subject at 300",
    ]
