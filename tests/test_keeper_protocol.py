"""What supervisor and keeper say to each other: each side understands what the other one writes."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.keeper_process import requests as keeper_side
from actors.keeper_process.fields import BadRequestError, Window
from actors.keeper_process.requests import fds_of, parse_message, parse_request
from actors.keeper_process.wire import MAX_LINE
from protocols.ids import AttemptId, FleetId
from protocols.keeper import (
    MAX_MESSAGE,
    VERSION,
    Adopt,
    Blocked,
    CloseStdin,
    Ended,
    Exited,
    Extend,
    Finished,
    Forget,
    Hello,
    Message,
    Missed,
    Ping,
    Reaped,
    Refusal,
    Reply,
    Request,
    Resize,
    Resumed,
    Shutdown,
    Spawn,
    Spawned,
    Stdin,
    Stop,
    Stopping,
    Unattributed,
    Welcome,
)
from protocols.keeper_codec import decode_message, encode_request, from_os, to_os
from protocols.keeper_inputs import Interrupt, SessionRequest, Write

A = AttemptId("0" * 32)
_EVERY_BYTE = bytes(range(1, 256))
_NONE = Stdin("none")


@given(st.binary())
def test_every_string_of_the_operating_system_passes(data: bytes) -> None:
    assert from_os(to_os(data)) == data


@given(st.binary().map(lambda data: data.replace(b"\0", b"")))
def test_the_keeper_gets_the_very_bytes_of_arguments_and_paths(data: bytes) -> None:
    request = _heard(_spawn(argv=(to_os(data),), cwd=to_os(b"/" + data), env=(to_os(b"A=" + data),)))

    assert isinstance(request, keeper_side.Spawn)
    assert (request.argv, request.cwd, request.env) == ([data], b"/" + data, {b"A": data})


def _spawn(argv: tuple[str, ...] = ("x",), cwd: str = "/", env: tuple[str, ...] = (), stdin: Stdin = _NONE) -> Spawn:
    return Spawn(
        attempt=A,
        executable="/bin/x",
        argv=argv,
        cwd=cwd,
        env=env,
        stdin=stdin,
        stdout="/out",
        stderr="/err",
        status="/status",
        attached=True,
        timeout=None,
        grace=0.0,
        linger=2.0,
    )


def _on_terminal() -> Spawn:
    return msgspec.structs.replace(_spawn(), stdout="", stderr="", terminal="/tty", window=(80, 24))


def _heard(request: Request) -> keeper_side.Request:
    """What the keeper makes of it."""
    line = encode_request(request)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    return parse_request(parse_message(line))


_PIPES = {"stdout": b"/out", "stderr": b"/err"}
_TERMS = keeper_side.Terms(A, _PIPES, b"/status", True, float("inf"), 0.0, 2.0)


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (Hello(versions=(VERSION,), fleet=FleetId("f"), generation=1), keeper_side.Hello([VERSION], "f", 1)),
        (
            _spawn(stdin=Stdin("text", to_os(_EVERY_BYTE + b"\0"))),
            keeper_side.Spawn(
                _TERMS, b"/bin/x", [b"x"], b"/", {}, keeper_side.Stdin("text", _EVERY_BYTE + b"\0"), None
            ),
        ),
        (
            Adopt(
                attempt=A,
                pid=7,
                start_ticks=9,
                stdout="/out",
                stderr="/err",
                status="/status",
                attached=True,
                timeout=1.5,
                grace=0.0,
                linger=2.0,
            ),
            keeper_side.Adopt(_TERMS._replace(timeout=1.5), 7, 9),
        ),
        (
            _on_terminal(),
            keeper_side.Spawn(
                keeper_side.Terms(A, {"terminal": b"/tty"}, b"/status", True, float("inf"), 0.0, 2.0),
                b"/bin/x",
                [b"x"],
                b"/",
                {},
                keeper_side.Stdin("none", b""),
                Window(80, 24),
            ),
        ),
        (Reaped(attempt=A, code=None, signal=9, at=1.0), keeper_side.Reaped(A, None, 9, 1.0)),
        (Reaped(attempt=A, code=0, signal=None, at=1.0), keeper_side.Reaped(A, 0, None, 1.0)),
        (Stop(attempt=A, grace=0.0, reason="stop"), keeper_side.Stop(A, 0.0, "stop")),
        (Stop(attempt=A, grace=2.0, reason="quiet", detail="why"), keeper_side.Stop(A, 2.0, "quiet", "why")),
        (Extend(attempt=A, left=7.5), keeper_side.Extend(A, 7.5)),
        (CloseStdin(attempt=A), keeper_side.CloseStdin(A)),
        (Resize(attempt=A, window=(80, 24)), keeper_side.Resize(A, Window(80, 24))),
        (Write(attempt=A, data=to_os(_EVERY_BYTE)), keeper_side.Write(A, _EVERY_BYTE)),
        (Interrupt(attempt=A), keeper_side.Interrupt(A)),
        (Forget(attempt=A), keeper_side.Forget(A)),
        (Ping(), keeper_side.Ping()),
        (Shutdown(), keeper_side.Shutdown()),
    ],
)
def test_the_keeper_understands_each_request(said: Request, heard: keeper_side.Request) -> None:
    assert _heard(said) == heard


@pytest.mark.parametrize("window", [None, [80], [80, 24, 1], [0, 24], [80, 65536], [80.0, 24], [True, 24], "80x24"])
def test_a_terminal_without_a_size_is_refused(window: object) -> None:
    message = {**parse_message(encode_request(_on_terminal())), "window": window}

    with pytest.raises(BadRequestError, match="window: must be an array of columns and rows"):
        parse_request(message)


def test_an_adoption_comes_with_two_descriptors_and_nothing_else_with_any() -> None:
    adopt = msgspec.convert(
        {
            **msgspec.to_builtins(_spawn()),
            "op": "adopt",
            "pid": 1,
            "start_ticks": 1,
        },
        Adopt,
    )

    assert fds_of(parse_message(encode_request(adopt))) == 2
    assert fds_of(parse_message(encode_request(_spawn()))) == 0


def test_a_request_carries_its_number_only_where_a_reply_is_wanted() -> None:
    assert "id" not in parse_message(encode_request(Ping()))
    assert parse_message(encode_request(Ping(id=4)))["id"] == 4


@pytest.mark.parametrize(
    "message",
    [
        Exited(attempt=A, code=0, signal=None, at=1.0),
        Ended(
            attempt=A,
            code=None,
            signal="SIGKILL",
            exited_at=1.0,
            at=2.0,
            reason="timeout",
            stdout_bytes=1,
            stderr_bytes=2,
            swept=("7 sleep",),
        ),
        Stopping(attempt=A, reason="stop", grace=1.0),
        Blocked(attempt=A, stream="stdout", error="full"),
        Resumed(attempt=A, stream="stderr"),
        Unattributed(pid=7, command="sleep"),
    ],
)
def test_each_message_is_read_as_it_was_written(message: Message) -> None:
    assert decode_message(msgspec.json.encode(message)) == message


@pytest.mark.parametrize(
    ("line", "ok", "error", "fds"),
    [
        (b'{"type":"reply","re":3,"ok":{"pid":1},"fds":2}', b'{"pid":1}', None, 2),
        (b'{"type":"reply","re":3,"error":{"code":"ENOENT","message":"no"}}', b"", Refusal("ENOENT", "no"), 0),
    ],
)
def test_a_reply_holds_a_result_or_a_refusal(line: bytes, ok: bytes, error: Refusal | None, fds: int) -> None:
    reply = decode_message(line)

    assert isinstance(reply, Reply)
    assert (reply.re, bytes(reply.ok), reply.error, reply.fds) == (3, ok, error, fds)


def test_the_results_of_replies_are_read_as_they_were_written() -> None:
    for result in (Welcome(1, 2, "boot", 3, ()), Spawned(1, 2, 3.0), Finished(("7 sleep",))):
        assert msgspec.json.decode(msgspec.json.encode(result), type=type(result)) == result


def test_fields_of_a_later_keeper_are_left_aside() -> None:
    line = b'{"type":"resumed","attempt":"a","stream":"stdout","since":1}'

    assert decode_message(line) == Resumed(attempt=AttemptId("a"), stream="stdout")


@pytest.mark.parametrize("line", [b"{}", b'{"type":"news"}', b'{"type":"resumed","attempt":"a"}', b"[]"])
def test_what_no_keeper_says_is_an_error(line: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_message(line)


def test_both_sides_have_the_same_bound_and_the_same_operations() -> None:
    assert MAX_MESSAGE == MAX_LINE
    said = {each.__struct_config__.tag for each in get_args(Request) if each not in get_args(SessionRequest)}
    assert len(said) == len(get_args(keeper_side.Request)) == 15


@pytest.mark.parametrize("data", [None, "", "x" * 4097, "☃", 5])
def test_input_that_no_pipe_takes_at_once_is_refused(data: object) -> None:
    with pytest.raises(BadRequestError, match="data: "):
        parse_request({"op": "write", "attempt": A, "data": data})


def test_a_worker_may_write_its_files_itself() -> None:
    heard = _heard(msgspec.structs.replace(_spawn(), direct=True))

    assert isinstance(heard, keeper_side.Spawn) and heard.terms.direct
    adopt = Adopt(
        attempt=A, pid=7, start_ticks=9, direct=True, status="/s", attached=True, timeout=None, grace=0, linger=0, fds=0
    )
    assert fds_of(parse_message(encode_request(adopt))) == 0


def test_what_a_source_missed_is_a_message_too() -> None:
    missed = Missed(attempt=A, stream="log", offset=3, lost=None, why="it was cut")

    assert decode_message(msgspec.json.encode(missed)) == missed
