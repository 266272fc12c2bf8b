"""Events of earlier versions are read as what they meant."""

from protocols.event_codec import decode_event
from protocols.events import AttemptStarting, WorkerExited


def test_what_was_written_before_there_were_terminals_and_log_files_is_read() -> None:
    starting = decode_event(
        b'{"type":"attempt.starting","at":1.0,"worker":"a","attempt":1,"id":"x","argv":["true"],"cwd":"/","timeout":null}'
    )
    exited = decode_event(
        b'{"type":"worker.exited","at":1.0,"worker":"a","attempt":1,"code":0,"signal":null,"reason":"exit",'
        b'"started_at":1.0,"ended_at":1.0,"stdout_bytes":3,"stderr_bytes":0,"swept":[],"error":""}'
    )

    assert isinstance(starting, AttemptStarting) and (starting.source, starting.log) == ("pipe", "")
    assert isinstance(exited, WorkerExited)
    assert (exited.stdout_bytes, exited.terminal_bytes, exited.log_bytes) == (3, 0, 0)
