"""The command ``callboard``: its subcommands, and what an error looks like to a user."""

import errno
import io
import logging
import os
import platform
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from supervisor.version import VERSION

__all__ = ["main", "make_app"]

OK, FAILED, BAD_INPUT, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130
"""The exit codes: fine, some task failed, bad input, no supervisor reached, interrupted."""

_KERNEL = (5, 10)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_COMMANDS = {
    "run": "Run a plan in the foreground.",
    "up": "Supervise until somebody wants the end, and take tasks meanwhile.",
    "down": "End the supervisor, with its workers or without.",
    "resume": "Go on with a run whose callboard was killed.",
    "retry": "Run some tasks of an ended run again.",
    "watch-run": "Show a run that somebody else started.",
    "watch": "Show what the sessions of an OpenCode server say and do, as it streams.",
    "check": "Say whether a plan can run here, in which order, and with which environment.",
    "ps": "List the workers of the supervisor.",
    "top": "Show what the workers of the supervisor take of the machine.",
    "instances": "List the callboards below the supervisor.",
    "history": "List all attempts of the workers of the supervisor.",
    "spawn": "Start a command as one more worker of the supervisor.",
    "submit": "Have the supervisor run a plan.",
    "cancel": "Let a task or a run of the supervisor not begin, or end it.",
    "approve": "Allow what a session waits for, or list who waits for what.",
    "deny": "Refuse what a session waits for.",
    "restart": "Begin the next attempt of a worker, or start the supervisor itself anew.",
    "kill": "End a worker of the supervisor at once.",
    "status": "Show how a run stands.",
    "stop": "Stop a worker or a run and wait for its end.",
    "runs": "List the runs of this folder.",
    "report": "Show what came out of a run.",
    "attach": "Open the tmux pane in which a task runs.",
    "logs": "Print what a task wrote, byte for byte.",
    "screen": "Print what the terminal of a task shows.",
    "send": "Type a text for a running task, as a person at its terminal would.",
    "events": "Print the records of a run.",
    "token": "Print a token for somebody else who is to use the port of the supervisor.",
    "prune": "Remove old runs.",
    "clean": "Remove the workspaces that old runs have left.",
    "doctor": "Examine this machine for what callboard needs.",
    "completion": "Print what a shell needs to complete commands and flags.",
}
"""Each is the function of its name, with ``_`` for ``-``, in the module of its name, imported when it is used."""


def main() -> None:
    """Entry point of the distribution."""
    _prepare_streams()
    if logging.lastResort is not None:  # where nothing else was set up, a log line is a warning to the user
        logging.lastResort.setFormatter(logging.Formatter("warning: %(message)s"))
    try:
        code = _refuse() or _run(sys.argv[1:])
    except KeyboardInterrupt:
        code = INTERRUPTED
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done: an interrupt changes nothing any more
    sys.exit(code)


def _prepare_streams() -> None:
    """Open what was closed: else the next file gets its number and all that is printed. Any encoding will do."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - for as long as we live
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _refuse() -> int:
    """Linux from 5.10 on: there is no pidfd, subreaper or /proc elsewhere. And a folder that is still there."""
    release = tuple(int(number) for number in re.findall(r"\d+", platform.release())[:2])
    if sys.platform != "linux" or release < _KERNEL:
        here = f"{platform.system()} {platform.release()}"
        text = f"callboard needs Linux 5.10 or later, this is {here}; use a container or a virtual machine"
        return _fail(text, BAD_INPUT)
    try:
        Path.cwd()
    except OSError as error:
        return _fail(f"the current folder: {error.strerror}; change to another one", BAD_INPUT)
    return OK


def _run(arguments: list[str]) -> int:
    from cyclopts import CycloptsError  # noqa: PLC0415 - after the check of the system

    from protocols.errors import (  # noqa: PLC0415
        FleetError,
        InputError,
        JournalError,
        LedgerError,
        QueueError,
        StateError,
        UnreachableError,
    )
    from supervisor.cli.usage import explain_usage  # noqa: PLC0415

    app = make_app()
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        return _fail(explain_usage(error, _COMMANDS), BAD_INPUT)
    except (InputError, StateError, JournalError, LedgerError, QueueError) as error:
        return _fail(str(error), BAD_INPUT)
    except UnreachableError as error:
        return _fail(str(error), UNREACHABLE)
    except FleetError as error:
        return _fail(str(error), FAILED)
    except BrokenPipeError:
        _drop_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno not in _FULL or error.filename is not None:
            raise
        _drop_output()
        return _fail(f"standard output: {error.strerror}; make room, or send it elsewhere", FAILED)
    return code if isinstance(code, int) else OK


def make_app() -> Callable[..., object]:
    """An `App` of cyclopts, with all commands."""
    from cyclopts import App, Parameter  # noqa: PLC0415 - after the check of the system

    app = App(
        name="callboard",
        help="Supervise fleets of coding agents and other command-line workers.",
        version=VERSION,
        help_format="plaintext",
        default_parameter=Parameter(negative=(), show_default=False),
    )
    for name, text in _COMMANDS.items():
        function = name.replace("-", "_")
        app.command(f"supervisor.cli.{function}:{function}", name=name, help=text)
    return app


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the interpreter flushes once more when it ends


def _fail(text: str, code: int) -> int:
    for line in text.splitlines():
        print(f"error: {line}", file=sys.stderr)
    return code
