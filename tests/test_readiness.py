"""What a service manager is told."""

import secrets
import socket
from pathlib import Path

import pytest

from actors.readiness import notify


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_gets_all_lines_at_once(tmp_path: Path, abstract: bool) -> None:
    name = f"@callboard-{secrets.token_hex(8)}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0"))

        told = notify("READY=1", "STATUS=run abcd", environ={"NOTIFY_SOCKET": name})

        assert told
        assert manager.recv(100) == b"READY=1\nSTATUS=run abcd"


@pytest.mark.parametrize("value", [None, "", "relative", "/nobody/is/there", "@nobody-is-there", "/" + "x" * 300])
def test_without_a_service_manager_nothing_is_told(value: str | None) -> None:
    assert not notify("READY=1", environ={} if value is None else {"NOTIFY_SOCKET": value})


def test_a_service_manager_that_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))

        while notify("STATUS=again", environ={"NOTIFY_SOCKET": str(tmp_path / "notify")}):
            pass
