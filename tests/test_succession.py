"""What a supervisor leaves to itself when it becomes a fresh program in the same process."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from protocols.errors import FleetError, InputError
from supervisor.locks import is_locked
from supervisor.succession import Inheritance, become_anew, take_inheritance

SCRIPT = """
import json, os, pathlib, socket, subprocess, sys
from supervisor.locks import hold_descriptor, is_locked
from supervisor.succession import Inheritance, become_anew, take_inheritance

lock = pathlib.Path("lock")
left = take_inheritance()
with hold_descriptor(lock, None if left is None else left.lock) as fd:
    assert fd is not None
    if left is None:
        listener = socket.create_server(("127.0.0.1", 0))
        pathlib.Path("before").write_text(json.dumps([os.getpid(), listener.getsockname()]))
        become_anew(Inheritance(lock=fd, listeners=(listener.fileno(),), detached=True))
    listener = socket.socket(fileno=left.listeners[0])
    told = [os.getpid(), listener.getsockname(), left.detached, is_locked(lock), "CALLBOARD_INHERITANCE" in os.environ]
    print(json.dumps([*told, os.get_inheritable(fd), listener.get_inheritable()]))
"""


def test_it_is_the_same_process_with_the_lock_and_the_sockets_that_it_had(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, timeout=25, check=True
    )

    pid, address = json.loads((tmp_path / "before").read_text())
    assert json.loads(done.stdout) == [pid, address, True, True, False, False, False]
    assert not is_locked(tmp_path / "lock")


def test_where_the_program_is_gone_nothing_has_changed_and_it_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pytest.raises(FleetError, match="cannot start anew"):
            become_anew(Inheritance(lock=listener.fileno()))

        assert not listener.get_inheritable()
    assert "CALLBOARD_INHERITANCE" not in os.environ


def test_a_program_that_was_started_as_any_is_inherits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert take_inheritance() is None

    monkeypatch.setenv("CALLBOARD_INHERITANCE", '{"lock": 999999}')
    with pytest.raises(InputError, match="only callboard sets it, unset it"):
        take_inheritance()
    assert take_inheritance() is None
