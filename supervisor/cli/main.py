"""The command ``callboard``: its subcommands, and what an error looks like to a user."""

import logging
import os
import platform
import re
import signal
import sys
from importlib.metadata import version

__all__ = ["main"]

OK, FAILED, BAD_INPUT, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130
"""The exit codes: fine, some task failed, bad input, no supervisor reached, interrupted."""

_KERNEL = (5, 10)
_COMMANDS = {
    "run": "Run a plan in the foreground.",
    "check": "Say whether a plan can run here, in which order, and with which environment.",
    "status": "Show how a run stands.",
    "stop": "Stop a run and wait for its end.",
    "runs": "List the runs of this folder.",
    "report": "Show what came out of a run.",
    "logs": "Print what a task wrote, byte for byte.",
    "events": "Print the records of a run.",
    "prune": "Remove old runs.",
    "doctor": "Examine this machine for what callboard needs.",
}
"""Each is the function of its name in the module of its name, imported when it is used."""


def main() -> None:
    """Entry point of the distribution."""
    if logging.lastResort is not None:  # where nothing else was set up, a log line is a warning to the user
        logging.lastResort.setFormatter(logging.Formatter("warning: %(message)s"))
    sys.exit(_refuse() or _run(sys.argv[1:]))


def _refuse() -> int:
    """Linux from 5.10 on: there is no pidfd, subreaper or /proc elsewhere."""
    release = tuple(int(number) for number in re.findall(r"\d+", platform.release())[:2])
    if sys.platform == "linux" and release >= _KERNEL:
        return OK
    here = f"{platform.system()} {platform.release()}"
    print(f"error: callboard needs Linux 5.10 or later, this is {here}; use a container or a virtual machine",
          file=sys.stderr)  # fmt: skip
    return BAD_INPUT


def _run(arguments: list[str]) -> int:
    from cyclopts import App, CycloptsError, Parameter  # noqa: PLC0415 - after the check of the system

    from protocols.errors import (  # noqa: PLC0415
        FleetError,
        InputError,
        JournalError,
        StateError,
        UnreachableError,
    )
    from supervisor.cli.usage import explain_usage  # noqa: PLC0415

    app = App(
        name="callboard",
        help="Supervise fleets of coding agents and other command-line workers.",
        version=version("callboard"),
        help_format="plaintext",
        default_parameter=Parameter(negative=(), show_default=False),
    )
    for name, text in _COMMANDS.items():
        app.command(f"supervisor.cli.{name}:{name}", name=name, help=text)
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _fail(explain_usage(error, _COMMANDS), BAD_INPUT)
    except (InputError, StateError, JournalError) as error:
        return _fail(str(error), BAD_INPUT)
    except UnreachableError as error:
        return _fail(str(error), UNREACHABLE)
    except FleetError as error:
        return _fail(str(error), FAILED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the interpreter flushes once more when it ends
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    return code if isinstance(code, int) else OK


def _fail(text: str, code: int) -> int:
    for line in text.splitlines():
        print(f"error: {line}", file=sys.stderr)
    return code
