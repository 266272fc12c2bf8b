"""``callboard watch`` on the real server: what a person sees, what a program gets, and how it ends."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from actors.opencode_process import free_port
from tests import model_script as does
from tests.event_server import open_event_server
from tests.opencode import OpenCode, open_opencode
from tests.scripted_model import ScriptedModel, open_model
from tests.stream_server import event

CALLBOARD = Path(sys.executable).with_name("callboard")
PASSWORD = "a secret"


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with open_model() as found:
        yield found


@pytest.fixture(scope="module")
def server(model: ScriptedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenCode]:
    with open_opencode(tmp_path_factory.mktemp("opencode"), model.url, password=PASSWORD) as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all: the server boots each folder that it did not know."""
    return tmp_path_factory.mktemp("project")


@contextmanager
def watching(url: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command, when it is connected."""
    environ = {**os.environ, "OPENCODE_SERVER_PASSWORD": PASSWORD}
    command = [str(CALLBOARD), "watch", url, *options]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def create(server: OpenCode, folder: Path, title: str) -> str:
    return str(server.ask(f"/session?directory={folder}", {"title": title})["id"])


def prompt(server: OpenCode, session: str, *steps: does.Step) -> None:
    body = {"parts": [{"type": "text", "text": does.script(*steps)}]}
    server.ask(f"/session/{session}/prompt_async", body)


def read_until(process: subprocess.Popen[bytes], wanted: bytes) -> bytes:
    """What it prints up to there; pieces as they are written."""
    assert process.stdout is not None
    found = bytearray()
    while wanted not in found[-65536 - len(wanted) :]:
        piece = os.read(process.stdout.fileno(), 65536)
        assert piece, bytes(found)
        found += piece
    return bytes(found)


def connect(server: OpenCode, process: subprocess.Popen[bytes], folder: Path, session: str = "") -> None:
    """Return when it shows what happens: notes that nobody answers are left in a session until one is shown."""
    assert process.stdout is not None
    while not select.select([process.stdout], [], [], 0.3)[0]:
        body = {"noReply": True, "parts": [{"type": "text", "text": "A note."}]}
        server.ask(f"/session/{session or create(server, folder, 'Notes')}/prompt_async", body)


@pytest.mark.opencode
@pytest.mark.deadline(120)
def test_sessions_are_shown_as_they_stream_each_with_its_label(
    server: OpenCode, model: ScriptedModel, folder: Path
) -> None:
    with watching(server.url, "--reasoning") as process:
        connect(server, process, folder)
        session = create(server, folder, "The work")
        prompt(
            server,
            session,
            does.think("Hm.", size=1),
            does.say("I begin", size=2),
            does.gate("middle"),
            does.say(" and end.\x1b[31m", size=2),
            does.run("echo out; printf '\\033[2J'"),
            does.say("Done at last."),
        )
        before = read_until(process, b"[TEXT]\nI begin")
        model.open("middle")
        after = read_until(process, b"[TEXT]\nDone at last.")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130

    assert b"[The work] [REASONING]\nHm.\n" in before
    assert b"[The work] [TEXT]\nI begin" in before
    assert b"[The work] [BASH] $ echo out; printf '\\033[2J'\n[The work] [OUTPUT]\nout\n" in after
    assert b"\x1b" not in before + after


@pytest.mark.opencode
@pytest.mark.deadline(120)
def test_one_session_is_shown_with_its_children_until_it_is_deleted(server: OpenCode, folder: Path) -> None:
    session, other = create(server, folder, "This"), create(server, folder, "That")
    with watching(server.url, "--session", session) as process:
        connect(server, process, folder, session)
        prompt(server, other, does.say("Not this."))
        prompt(server, session, does.think("No."), does.spawn(does.say("I help."), name="aide"), does.say("So be it."))
        shown = read_until(process, b"[TEXT]\nSo be it.")
        server.ask(f"/session/{session}", method="DELETE")
        assert process.wait(20) == 0

    assert b"[TOOL task] aide\n" in shown
    assert b"\n[aide] [TEXT]\nI help.\n" in shown
    assert b"\n[TEXT]\nSo be it." in shown
    assert b"Not this." not in shown
    assert b"REASONING" not in shown


@pytest.mark.opencode
@pytest.mark.deadline(120)
def test_programs_get_events_and_text_as_json_lines(server: OpenCode, folder: Path) -> None:
    with watching(server.url, "--output", "json") as process:
        connect(server, process, folder)
        session = create(server, folder, "For programs")
        prompt(server, session, does.run("true"), does.say("It \x9b is\u2028true.", size=3), does.todo(end="completed"))
        shown = read_until(process, b'"done":1')

    lines: list[dict[str, Any]] = [json.loads(line) for line in shown.decode().split("\n")[1:-1]]
    mine = [line for line in lines if line.get("session") == session]
    assert "session.tool" in {line["type"] for line in mine}
    assert "It \x9b is\u2028true." in "".join(line["text"] for line in mine if line["type"] == "session.text")
    assert not any("worker" in line for line in mine)
    assert "\x9b" not in shown.decode()


def text(number: int, text: str) -> bytes:
    """The event of a whole text."""
    part = {"id": f"prt_{number}", "messageID": "msg_1", "type": "text", "text": text, "time": {"start": 1, "end": 2}}
    return event("message.part.updated", number, sessionID="ses_abcdef", part=part)


def test_a_stream_that_was_cut_off_is_opened_again_and_both_is_said() -> None:
    with open_event_server([text(1, "Before.")], [text(2, "After.")]) as server, watching(server.url) as process:
        shown = read_until(process, b"After.\n")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 130

    assert shown.startswith(b"[abcdef] [TEXT]\nBefore.\n\n[CONNECTION] lost: ")
    assert shown.endswith(b"[CONNECTION] there again\n\n[abcdef] [TEXT]\nAfter.\n")


def test_a_reader_that_does_not_read_holds_up_nobody_and_is_told_what_it_missed() -> None:
    big = [text(number, "x" * 1_000_000) for number in range(20)]
    with open_event_server(big, [text(99, "The end.")]) as server, watching(server.url) as process:
        server.wait_for_last()
        shown = read_until(process, b" characters were not read in time\n")

    assert shown.startswith(b"[abcdef] [TEXT]\nxxx")
    assert shown.count(b"[GAP]") == 1
    assert len(shown) < 18_000_000


def test_raw_are_the_events_of_the_server() -> None:
    with open_event_server([text(1, "As it\x9bis.")]) as server, watching(server.url, "--raw") as process:
        shown = read_until(process, b"\n")

    sent = json.loads(text(1, "As it\x9bis.").removeprefix(b"data: "))["payload"]
    assert json.loads(shown) == sent
    assert b"\\u009b" in shown


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    with open_event_server([text(1, "Nobody reads.")]) as server, watching(server.url) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.wait(20) == 141
        assert process.stderr.read() == b""
        process.stdout = None


def run(*arguments: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "OPENCODE_SERVER_PASSWORD": password}
    command = [str(CALLBOARD), "watch", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.opencode
@pytest.mark.deadline(120)
def test_a_wrong_password_and_an_unknown_session_are_one_error_each(server: OpenCode) -> None:
    wrong, unknown = run(server.url, password="wrong"), run(server.url, "--session", "ses_nobody")

    assert (wrong.returncode, unknown.returncode) == (2, 2)
    assert "OPENCODE_SERVER_PASSWORD" in wrong.stderr
    assert "wrong" not in wrong.stderr.replace("wrong password", "")
    assert unknown.stderr.startswith("error: ")
    assert (wrong.stderr + unknown.stderr).count("\n") == 2


def test_nobody_at_the_address_is_one_error() -> None:
    result = run(f"http://127.0.0.1:{free_port()}")

    assert result.returncode == 3
    assert result.stderr.startswith("error: OpenCode server http://127.0.0.1:")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("localhost:4096",), '"localhost:4096" is no address of a server; write it like http://127.0.0.1:4096'),
        (
            ("http://me:secret@127.0.0.1:1",),
            "URL: everybody can see a password there; put it into OPENCODE_SERVER_PASSWORD",
        ),
        (
            ("http://127.0.0.1:1", "--raw", "--output", "json"),
            "--raw and --output json: only one of them can be printed; leave one out",
        ),
    ],
)
def test_what_cannot_be_watched_is_one_error(arguments: tuple[str, ...], problem: str) -> None:
    result = run(*arguments)

    assert (result.returncode, result.stderr) == (2, f"error: {problem}\n")
