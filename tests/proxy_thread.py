"""The proxy that spoils connections, in a thread of its own, for tests that do not run in trio."""

import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import trio

from tests.fault_proxy import Fault, FaultProxy

__all__ = ["ProxyThread", "proxy_in_thread"]

_HOST = "127.0.0.1"


@dataclass
class ProxyThread:
    """Everything may be called from outside of the thread."""

    proxy: FaultProxy
    _token: trio.lowlevel.TrioToken | None = None
    _there: threading.Event = field(default_factory=threading.Event)
    _listening: trio.CancelScope = field(default_factory=trio.CancelScope)
    _gone: trio.Event = field(default_factory=trio.Event)
    _back: trio.Event = field(default_factory=trio.Event)
    _over: trio.CancelScope = field(default_factory=trio.CancelScope)

    @property
    def url(self) -> str:
        return self.proxy.url

    def cut(self) -> None:
        """The streams that are there are reset."""
        self._do(self.proxy.cut)

    def hold(self) -> None:
        """They get nothing any more, and no end."""
        self.proxy.hold()

    def leave(self) -> None:
        """Nobody listens at its port, and what is there is reset."""
        self._there.clear()
        self._do(self._leave)

    def come_back(self) -> None:
        self._do(self._come_back)
        self._there.wait()

    def run(self) -> None:
        """In the thread, until `close`."""
        trio.run(self._run)

    def wait(self) -> None:
        self._there.wait()

    def close(self) -> None:
        self._do(self._close)

    def _do(self, what: Callable[[], Awaitable[None]]) -> None:
        trio.from_thread.run(what, trio_token=self._token)

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with self._over:
            async with trio.open_nursery() as nursery:
                while True:
                    listeners = await trio.open_tcp_listeners(self.proxy.port, host=_HOST)
                    self.proxy.port = listeners[0].socket.getsockname()[1]
                    self._there.set()
                    with trio.CancelScope() as self._listening:
                        await trio.serve_listeners(self.proxy.serve, listeners, handler_nursery=nursery)
                    self._gone.set()
                    await self._back.wait()
                    self._gone, self._back = trio.Event(), trio.Event()

    async def _leave(self) -> None:
        self._listening.cancel()
        await self._gone.wait()
        await self.proxy.cut()

    async def _come_back(self) -> None:
        self._back.set()

    async def _close(self) -> None:
        self._over.cancel()


@contextmanager
def proxy_in_thread(
    target: int,
    pending: Sequence[Fault] = (),
    seed: int = 0,
    lossy: float = 0.0,
    lie: tuple[bytes, bytes] = (b"", b""),
) -> Iterator[ProxyThread]:
    """A proxy to this port of loopback."""
    there = ProxyThread(FaultProxy(target, 0, list(pending), seed, lossy=lossy, lie=lie))
    thread = threading.Thread(target=there.run, daemon=True)
    thread.start()
    there.wait()
    try:
        yield there
    finally:
        there.close()
        thread.join()
