"""Whoever asks may wait no longer: that ends nobody who answers."""

from collections.abc import Callable

import pytest
import trio

from actors.orders import Answer
from actors.replies import reply

_Send = trio.MemorySendChannel[Answer]
_Receive = trio.MemoryReceiveChannel[Answer]


async def test_who_waits_gets_the_answer_and_so_does_who_gave_it() -> None:
    send, receive = trio.open_memory_channel[Answer](1)

    assert reply(send, Answer(b"1")) == Answer(b"1") == receive.receive_nowait()


@pytest.mark.parametrize(
    "leave",
    [lambda _, receive: receive.close(), lambda send, _: send.close()],
    ids=["cancelled", "closed both ends"],
)
async def test_an_answer_that_nobody_waits_for_is_no_error(leave: Callable[[_Send, _Receive], None]) -> None:
    send, receive = trio.open_memory_channel[Answer](1)
    leave(send, receive)

    assert reply(send, Answer(b"1")) == Answer(b"1")


async def test_where_nobody_cares_there_is_no_channel() -> None:
    assert reply(None, Answer()) == Answer()
