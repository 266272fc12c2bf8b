"""A browser gets in by a ticket for one use, and goes on by a cookie; no token is part of an address."""

import json
import re
from pathlib import Path

import pytest

from actors.port.access import Access
from protocols.tokens import Grant, make_token
from tests.port_client import BEARER, SECRET, Opened, ask, open_port


async def _ticket(port: Opened, header: str = BEARER) -> str:
    answer = await port.say(ask("POST", "/api/tickets", header))
    assert answer.startswith(b"HTTP/1.1 201 ")
    path: str = json.loads(answer.partition(b"\r\n\r\n")[2])["path"]
    return path


def _cookie(answer: bytes) -> str:
    found = re.search(rb"set-cookie: ([^;]*); Path=/; Max-Age=43200; HttpOnly; SameSite=Strict\r\n", answer)
    assert found is not None, answer
    return found[1].decode()


async def test_a_ticket_is_exchanged_for_a_cookie_that_lets_in(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        exchanged = await port.say(ask("GET", await _ticket(port)))
        cookie = _cookie(exchanged)
        answer = await port.say(ask("GET", "/x", f"Cookie: theme=dark; {cookie}; a=b"))

    assert exchanged.startswith(b"HTTP/1.1 303 ")
    assert b"\r\nlocation: /\r\n" in exchanged
    assert SECRET not in cookie
    assert answer.endswith(b"GET /x token browser 0")


async def test_a_ticket_is_good_once(tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        path = await _ticket(port)
        await port.say(ask("GET", path))
        again = await port.say(ask("GET", path))

    assert again.startswith(b"HTTP/1.1 401 ")
    assert b"set-cookie" not in again


async def test_a_ticket_is_over_after_half_a_minute_and_its_cookie_after_half_a_day(tmp_path: Path) -> None:
    now = [1000.0]
    async with open_port(tmp_path, access=Access(secret=SECRET, now=lambda: now[0])) as port:
        late, good = await _ticket(port), await _ticket(port)
        now[0] += 29.9
        cookie = _cookie(await port.say(ask("GET", good)))
        now[0] += 0.1
        refused = await port.say(ask("GET", late))
        now[0] += 12 * 3600
        over = await port.say(ask("GET", "/x", f"Cookie: {cookie}"))

    assert refused.startswith(b"HTTP/1.1 401 ")
    assert over.startswith(b"HTTP/1.1 401 ")


async def test_a_ticket_gives_no_more_than_the_token_that_asked_for_it(tmp_path: Path) -> None:
    token = make_token(SECRET, Grant(scope="read", name="board"))
    async with open_port(tmp_path) as port:
        cookie = _cookie(await port.say(ask("GET", await _ticket(port, f"Authorization: Bearer {token}"))))

    assert cookie.partition("=")[2].startswith("read.")


async def test_neither_a_ticket_nor_its_cookie_outlives_the_token_that_asked_for_it(tmp_path: Path) -> None:
    now = [1000.0]
    async with open_port(tmp_path, access=Access(secret=SECRET, now=lambda: now[0])) as port:
        bearer = f"Authorization: Bearer {make_token(SECRET, Grant(scope='operate', name='guest', expires=1010))}"
        late, good = await _ticket(port, bearer), await _ticket(port, bearer)
        now[0] = 1009.0
        exchanged = await port.say(ask("GET", good))
        cookie = exchanged.partition(b"set-cookie: ")[2].partition(b";")[0].decode()
        renewed = (await port.say(ask("GET", await _ticket(port, f"Cookie: {cookie}")))).partition(b"set-cookie: ")[2]
        now[0] = 1010.0
        answers = [
            await port.say(ask("GET", late)),
            await port.say(ask("GET", "/x", f"Cookie: {cookie}")),
            await port.say(ask("GET", "/x", f"Cookie: {renewed.partition(b';')[0].decode()}")),
        ]

    assert b"Max-Age=1;" in exchanged and b"Max-Age=1;" in renewed
    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 401"] * 3


@pytest.mark.parametrize(
    ("method", "path", "header", "status"),
    [
        ("POST", "/api/tickets", "X: y", 401),
        ("GET", "/api/tickets", BEARER, 405),
        ("POST", "/ticket?ticket=x", BEARER, 405),
        ("GET", "/ticket", "X: y", 401),
        ("GET", "/ticket?ticket=", "X: y", 401),
        ("GET", "/ticket?" + "a=b&" * 50, "X: y", 401),
        ("GET", f"/ticket?ticket={SECRET}", "X: y", 401),
    ],
)
async def test_what_is_no_ticket_is_refused(method: str, path: str, header: str, status: int, tmp_path: Path) -> None:
    async with open_port(tmp_path) as port:
        answer = await port.say(ask(method, path, header))

        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert port.counts.failed == 0
