"""A stop as an instance can obey it: in order, by its own socket, before the ladder begins."""

import logging

import msgspec
import trio

from actors.unix_socket import connect_unix
from protocols.control import StopParams
from protocols.jsonrpc import Request
from protocols.layout import FleetFolder

__all__ = ["stop_in_order"]

logger = logging.getLogger(__name__)

_PATIENCE = 1.0  # seconds until it has written the stop down; the ladder does not wait for longer
_SHARE = 0.8  # of the grace is for its workers
_ANSWER = 4096


async def stop_in_order(run: FleetFolder, grace: float, usual: float) -> None:
    """Tell it to stop, with as much ``grace`` as it has seconds itself: less than the ``usual`` hurries its workers.

    Return when it has answered, or does not.
    """
    given = None if grace >= usual else grace * _SHARE
    params = StopParams(grace=given, reason="the callboard that started it stops it")
    request = Request(jsonrpc="2.0", method="stop", params=msgspec.Raw(msgspec.json.encode(params)), id=1)
    try:
        connection = connect_unix(run.control_socket)
        connection.setblocking(False)
        async with trio.SocketStream(trio.socket.from_stdlib_socket(connection)) as stream:
            with trio.move_on_after(_PATIENCE):
                await stream.send_all(msgspec.json.encode(request) + b"\n")
                await stream.receive_some(_ANSWER)
    except (OSError, trio.BrokenResourceError) as error:
        logger.info("%s: it is not told to stop: %s", run.root, error)
