"""The log of the long-running supervisor: made by structlog, written to standard error or to a file that is rotated."""

import logging
import os
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from typing import Protocol

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from protocols.errors import InputError
from protocols.wording import escaped
from supervisor.run_log import open_log
from supervisor.settings import LogSettings

__all__ = ["service_log"]

_HELD = 4096  # lines that wait for a file or a reader of standard error that is slow
_LAST_LINES = 2.0  # seconds for them at the end
_TALKATIVE = ("httpx", "httpcore", "trio-websocket")  # each request of ours is no news


@contextmanager
def service_log(settings: LogSettings, **always: str) -> Iterator[None]:
    """Write what any logger of this process says, from the level of the settings on, while the context lasts.

    ``always`` is part of each line. Nobody waits for the disk: where the sink is slower than what is said, lines are
    left out and counted. Raise `InputError` where the file cannot be opened.
    """
    writer = _Writer(_open_sink(settings))
    shared = _shared()
    writer.setFormatter(_formatter(settings, shared))
    wrap = structlog.stdlib.ProcessorFormatter.wrap_for_formatter
    structlog.configure([*shared, wrap], logger_factory=structlog.stdlib.LoggerFactory())
    root, before = logging.getLogger(), logging.getLogger().level
    levels = {name: logging.getLogger(name).level for name in _TALKATIVE}
    root.setLevel(settings.level.upper())
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    root.addHandler(writer)
    try:
        with structlog.contextvars.bound_contextvars(**always):
            yield
    finally:
        root.removeHandler(writer)
        root.setLevel(before)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        structlog.reset_defaults()
        writer.finish()


class _Sink(Protocol):
    def put(self, line: str) -> None:
        """Blocks."""

    def close(self) -> None: ...


def _open_sink(settings: LogSettings) -> _Sink:
    if settings.file is None:
        return _Stderr()
    try:
        return _File(settings.file, maxBytes=settings.max_size, backupCount=settings.keep, encoding="utf-8")
    except OSError as error:
        raise InputError(f"log file {settings.file}: {error.strerror}; choose another one for log.file") from error


def _shared() -> list[Processor]:
    """For what comes by structlog, and for what comes by the standard library."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _formatter(settings: LogSettings, shared: list[Processor]) -> logging.Formatter:
    on_terminal = settings.file is None and sys.stderr.isatty()
    as_text = settings.format == "text" or (settings.format == "auto" and on_terminal)
    plain = structlog.dev.plain_traceback  # others show the values of variables, and there may be secrets among them
    meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    own: list[Processor] = (
        [meta, _escape, structlog.dev.ConsoleRenderer(colors=on_terminal, exception_formatter=plain)]
        if as_text
        else [meta, structlog.processors.format_exc_info, _to_json]
    )
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=own)


def _escape(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """What workers and clients call themselves moves no cursor."""
    return {key: escaped(value) if isinstance(value, str) else value for key, value in event.items()}


def _to_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()


class _Writer(logging.Handler):
    """Formats where it is said, and writes in a thread of its own."""

    def __init__(self, sink: _Sink) -> None:
        super().__init__()
        self.sink = sink
        self.lines: queue.Queue[str | None] = queue.Queue(_HELD)
        self.dropped = 0
        self.thread = threading.Thread(target=self._write, name="log", daemon=True)
        self.thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.lines.put_nowait(self.format(record))
        except queue.Full:
            self.dropped += 1
        except (TypeError, ValueError, KeyError):  # its arguments do not go with its text
            self.handleError(record)

    def finish(self) -> None:
        """Write what is left; of a sink that takes nothing any more it is lost."""
        with suppress(queue.Full):
            self.lines.put(None, timeout=_LAST_LINES)
        self.thread.join(_LAST_LINES)
        if not self.thread.is_alive():
            self.sink.close()
        self.close()

    def _write(self) -> None:
        while (line := self.lines.get()) is not None:
            if self.dropped:
                count, self.dropped = self.dropped, 0
                self.sink.put(f"{count} log lines are missing here: they came faster than they could be written")
            self.sink.put(line)


class _Stderr:
    """No handler of the standard library: that one would wait at our end for a reader that takes nothing."""

    def put(self, line: str) -> None:
        left = f"{line}\n".encode(errors="backslashreplace")
        with suppress(OSError):  # where nobody reads it any more, the log goes without
            while left:
                left = left[os.write(sys.stderr.fileno(), left) :]

    def close(self) -> None:
        """It is not ours."""


class _File(RotatingFileHandler):
    def put(self, line: str) -> None:
        self.handle(logging.makeLogRecord({"msg": "%s", "args": (line,)}))

    def _open(self) -> TextIOWrapper:
        return open_log(self.baseFilename)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - its name in the standard library
        """On a full disk the log goes without."""
