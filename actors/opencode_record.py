"""What is written down of a server that goes on without us, so that the next supervisor finds it again."""

from pathlib import Path

import msgspec

from actors.files import replace_file
from actors.session_messages import Endpoint
from protocols.ids import AttemptId

__all__ = ["ServerRecord", "last_boot", "read_record", "write_record"]

_NAME = "server.json"


class ServerRecord(msgspec.Struct, frozen=True):
    """Its password is in it: nobody else may read it."""

    attempt: AttemptId
    boot: int
    endpoint: Endpoint


def write_record(folder: Path, record: ServerRecord) -> None:
    """Raise OSError."""
    replace_file(folder / _NAME, msgspec.json.encode(record))


def read_record(folder: Path) -> ServerRecord | None:
    """None: there is none that can be read."""
    try:
        return msgspec.json.decode((folder / _NAME).read_bytes(), type=ServerRecord)
    except (OSError, msgspec.MsgspecError):
        return None


def last_boot(folder: Path) -> int:
    """The greatest number of a boot of which there is something; 0: of none."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return 0
    return max((int(name) for name in names if name.isdecimal()), default=0)
