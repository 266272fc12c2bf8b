"""What supervisor and keeper say to each other. The keeper's side is in `actors.keeper_process`.

A Unix stream socket carries one JSON object a line, at most ``MAX_MESSAGE`` bytes. File
descriptors travel as SCM_RIGHTS with the first byte of the message that names their number
in ``fds``. What the operating system knows as bytes (arguments, environment, paths) is latin-1
text here: one character a byte, so that everything that is legal there passes unchanged.

A supervisor says `Hello` first. A request carries ``id``; its `Reply` carries the same number
in ``re``. Reports come at any time.
"""

from typing import Literal, TypeAlias

import msgspec

from protocols.bases import AttemptReport as _AttemptReport
from protocols.bases import KeeperRequest as _Request
from protocols.ids import AttemptId, FleetId
from protocols.keeper_inputs import InputRequest
from protocols.kinds import EndReason, Stream
from protocols.pane import Pane, Unclaimed
from protocols.session_report import SessionReport
from protocols.worker_limits import WorkerLimits

__all__ = ["NEW_REASONS", "OLDEST", "VERSION", "Message", "Report", "Request"]

VERSION = 3
OLDEST = 1  # of a keeper that can be commanded: 2 brought `Extend` and the new reasons, 3 `Unread` and `Signal`
NEW_REASONS: dict[EndReason, EndReason] = {"quiet": "timeout", "budget": "stalled"}
MAX_MESSAGE = 4 * 1024 * 1024  # the kernel takes 2 MiB of arguments and environment by default


class Hello(_Request, frozen=True, kw_only=True, tag="hello"):
    """Answered with `Welcome`. Cuts an older connection; one with a lower generation is refused."""

    versions: tuple[int, ...]
    fleet: FleetId
    generation: int


class Stdin(msgspec.Struct, frozen=True, omit_defaults=True):
    kind: Literal["none", "text", "file", "pipe"]
    text: str = ""
    """For ``text``: the bytes as latin-1. For ``file``: the path."""


class Spawn(_Request, frozen=True, kw_only=True, tag="spawn"):
    """Start a worker. Answered with `Spawned` and descriptors: the ends of its output and, where stdin is a pipe, its
    write end. Asked again for the same attempt, the keeper gives the same answer and starts nothing.

    The ends are the read ends of stdout and stderr; or, of a terminal, its master, to which may be written what is
    typed there, and both ends of the pipe through which its bytes go to the spool.
    """

    attempt: AttemptId
    executable: str
    argv: tuple[str, ...]
    cwd: str
    env: tuple[str, ...]
    """``NAME=value``, complete; the keeper adds nothing."""
    stdin: Stdin
    """On a terminal ``none`` is the terminal itself."""
    stdout: str = ""
    stderr: str = ""
    terminal: str = ""
    """Paths of the spool files, either two or one; their folders exist."""
    direct: bool = False
    """The files of stdout and stderr are the worker's own: it appends to them, nobody copies, and no ends come back."""
    window: tuple[int, int] | None = None
    """Of a terminal: columns and rows."""
    tty: str = ""  # in place of all these, a terminal that is there and that somebody else reads: no descriptors come
    status: str
    """The path of the status file."""
    attached: bool
    """The tree ends when the supervisor's connection is gone."""
    host: bool = False
    """Others live in it, as in a server of terminals: then it ends after them."""
    timeout: float | None
    """Seconds from the start until the keeper runs the ladder on its own."""
    grace: float
    """Seconds between TERM and KILL when the timeout is over."""
    limits: WorkerLimits | None = None
    linger: float
    """Seconds that output and left-over processes get after the leader's exit."""
    resume: bool = False
    """Start nothing: answer as before if the attempt is known, else refuse with ``unknown-attempt``."""


class Adopt(_Request, frozen=True, kw_only=True, tag="adopt"):
    """Take over a running worker of a keeper that died, with the descriptors that its `Spawned` brought. It is no child
    of this keeper: the supervisor reaps it and says `Reaped`."""

    attempt: AttemptId
    pid: int
    start_ticks: int
    stdout: str = ""
    stderr: str = ""
    terminal: str = ""
    direct: bool = False
    tty: str = ""
    status: str
    attached: bool
    host: bool = False
    timeout: float | None
    """Seconds that are left."""
    grace: float
    limits: WorkerLimits | None = None
    linger: float
    fds: int = 2


class Reaped(_Request, frozen=True, kw_only=True, tag="reaped"):
    attempt: AttemptId
    code: int | None
    signal: int | None
    at: float


class Stop(_Request, frozen=True, kw_only=True, tag="stop"):
    """Run the ladder: TERM to the group, KILL after ``grace`` seconds, sweep. Said again it can
    only become more urgent. Answered at once; `Ended` tells the end."""

    attempt: AttemptId
    grace: float
    reason: EndReason
    detail: str = ""  # for people; it comes back in `Ended`


class Extend(_Request, frozen=True, kw_only=True, tag="extend"):
    """Its timeout is ``left`` seconds from now, unless its end has begun. Answered at once."""

    attempt: AttemptId
    left: float


class CloseStdin(_Request, frozen=True, kw_only=True, tag="close_stdin"):
    attempt: AttemptId


class Resize(_Request, frozen=True, kw_only=True, tag="resize"):
    """Give a terminal another size; who is in its foreground gets SIGWINCH. One that has ended stays as it is."""

    attempt: AttemptId
    window: tuple[int, int]
    """Columns and rows, each from 1 to 65535."""


class Forget(_Request, frozen=True, kw_only=True, tag="forget"):
    """The end of this attempt is in the journal: the keeper need not remember it."""

    attempt: AttemptId


class Ping(_Request, frozen=True, kw_only=True, tag="ping"):
    """Answered at once, by a keeper that does its work."""


class Shutdown(_Request, frozen=True, kw_only=True, tag="shutdown"):
    """End all that is left, unattributed processes too, answer with `Finished`, exit."""


Request: TypeAlias = (
    Hello | Spawn | Adopt | Reaped | Stop | Extend | CloseStdin | Resize | InputRequest | Forget | Ping | Shutdown
)


class Known(msgspec.Struct, frozen=True):
    """An attempt that the keeper remembers."""

    attempt: AttemptId
    pid: int
    start_ticks: int
    state: Literal["running", "exited", "ended"]


class Welcome(msgspec.Struct, frozen=True):
    version: int
    pid: int
    boot_id: str
    pid_namespace: int
    attempts: tuple[Known, ...]


class Spawned(msgspec.Struct, frozen=True):
    pid: int
    start_ticks: int
    at: float


class Finished(msgspec.Struct, frozen=True):
    ended: tuple[str, ...]
    """Unattributed processes that were ended, as ``pid command``."""


class Refusal(msgspec.Struct, frozen=True):
    code: str
    """An errno's name, or ``version``, ``stale-generation``, ``unknown-attempt``, ``bad-request``."""
    message: str


class Reply(msgspec.Struct, frozen=True, tag_field="type", tag="reply"):
    re: int
    ok: msgspec.Raw = msgspec.Raw()
    """`Welcome`, `Spawned` or `Finished`; empty where there is nothing to tell, or an error."""
    error: Refusal | None = None
    fds: int = 0


class Exited(_AttemptReport, frozen=True, kw_only=True, tag="exited"):
    """The leader is gone. Its tree and its output may not be."""

    code: int | None
    signal: str | None
    """Its name, such as ``SIGKILL``."""
    at: float


class Ended(_AttemptReport, frozen=True, kw_only=True, tag="ended"):
    """Nothing of the tree is left and its output is complete. The last report of an attempt."""

    code: int | None
    signal: str | None
    exited_at: float
    at: float
    reason: EndReason
    stdout_bytes: int
    stderr_bytes: int
    terminal_bytes: int = 0
    log_bytes: int = 0
    session_bytes: int = 0
    swept: tuple[str, ...]
    unread: int | None = None  # of its stdin, where that was a pipe of which somebody knows it
    released: bool = False  # it goes on: it was somebody else's
    final: bool = False  # who refused it would refuse it again, such as for a wrong key
    quota: bool = False  # a session's provider had none left for it
    quota_until: float | None = None
    detail: str = ""
    """What there is to say of the reason: over which limit it went, with figures; or why nobody knows how it ended."""


class Stopping(_AttemptReport, frozen=True, kw_only=True, tag="stopping"):
    """The keeper runs the ladder, by command or on its own."""

    reason: EndReason
    grace: float
    detail: str = ""


class Blocked(_AttemptReport, frozen=True, kw_only=True, tag="blocked"):
    stream: Stream
    error: str
    retried: bool = True
    """False: it is the worker's own limit."""


class Resumed(_AttemptReport, frozen=True, kw_only=True, tag="resumed"):
    stream: Stream


class Missed(_AttemptReport, frozen=True, kw_only=True, tag="missed"):
    """No keeper says this: a source that cannot know all bytes. They are missing in front of ``offset``."""

    stream: Stream
    offset: int
    lost: int | None
    why: str


class Unattributed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="unattributed"):
    pid: int
    command: str


Report: TypeAlias = Exited | Ended | Stopping | Blocked | Resumed | Missed | Pane | Unclaimed | SessionReport
"""What a source says of one attempt."""
Message: TypeAlias = Reply | Report | Unattributed
