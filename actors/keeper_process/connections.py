"""Whom the keeper listens to: many may knock, one at a time controls."""

import errno
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence

from actors.keeper_process.loop import Loop
from actors.keeper_process.wire import Peer

__all__ = ["Connections"]

_MOST_WAITING = 16  # connections that have not said who they are; the oldest makes room
_PAUSE_WITHOUT_DESCRIPTORS = 0.01
_OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


class Connections:
    """``on_line`` gets each line of each connection, ``on_gone`` is called when the controlling one has ended."""

    def __init__(
        self, listener: socket.socket, loop: Loop, on_line: Callable[[Peer, bytes], None], on_gone: Callable[[], None]
    ) -> None:
        self.controller: Peer | None = None
        self.generation = -1
        """The highest that ever controlled."""
        self._listener = listener
        self._loop = loop
        self._on_line = on_line
        self._on_gone = on_gone
        self._peers: dict[int, Peer] = {}
        listener.setblocking(False)
        loop.watch(listener.fileno(), self._accept)

    def claim(self, peer: Peer, generation: int) -> bool:
        """Let this one control from now on, and cut the one before. False: a later one does, or did, already."""
        if generation <= self.generation:
            return False
        self.generation = generation
        before, self.controller = self.controller, peer
        if before is not None and before is not peer:
            self._close(before)
        return True

    def tell(self, message: Mapping[str, object]) -> None:
        """Send to whom controls. Nobody there: it is told what it has to know when it comes."""
        if self.controller is not None:
            self.send(self.controller, message)

    def send(self, peer: Peer, message: Mapping[str, object], fds: Sequence[int] = ()) -> None:
        """``fds`` are closed here."""
        peer.send(message, fds)
        if peer.fileno() >= 0:
            self._loop.watch(peer.fileno(), lambda: self._ready(peer), write=peer.unsent)

    def close(self) -> None:
        for peer in list(self._peers.values()):
            self._close(peer)
        self._loop.forget(self._listener.fileno())
        self._listener.close()

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as exc:
            if exc.errno not in _OUT_OF_DESCRIPTORS:
                raise
            time.sleep(_PAUSE_WITHOUT_DESCRIPTORS)  # the event comes again at once
            return
        peer = Peer(sock)
        if peer.uid not in {0, os.getuid()}:
            peer.close()
            return
        waiting = [other for other in self._peers.values() if other is not self.controller]
        if len(waiting) >= _MOST_WAITING:
            self._close(waiting[0])
        self._peers[peer.fileno()] = peer
        self._loop.watch(peer.fileno(), lambda: self._ready(peer))

    def _ready(self, peer: Peer) -> None:
        peer.flush()
        lines = peer.receive()
        for line in lines or ():
            if peer.fileno() < 0:  # cut by what another line did
                return
            self._on_line(peer, line)
        if lines is None:
            self._end(peer)
        elif peer.fileno() >= 0:
            peer.drop_strays()
            self._loop.watch(peer.fileno(), lambda: self._ready(peer), write=peer.unsent)

    def _end(self, peer: Peer) -> None:
        controlled = peer is self.controller
        if controlled:
            self.controller = None
        self._close(peer)
        if controlled:
            self._on_gone()

    def _close(self, peer: Peer) -> None:
        if self._peers.pop(peer.fileno(), None) is not None:
            self._loop.forget(peer.fileno())
            peer.close()
