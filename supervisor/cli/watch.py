"""``callboard watch``: the sessions of any OpenCode server, as they go on."""

from typing import Literal

__all__ = ["watch"]


def watch(
    url: str,
    /,
    *,
    session: str = "",
    reasoning: bool = False,
    raw: bool = False,
    output: Literal["plain", "json"] = "plain",
) -> int:
    """Show what the sessions of an OpenCode server say and do, as it streams. Ctrl-C leaves, and changes nothing.

    The server's password is taken from OPENCODE_SERVER_PASSWORD. A server that goes away is waited for.

    Parameters
    ----------
    url
        Its address, such as http://127.0.0.1:4096.
    session
        The id of a session: only this one and its children.
    reasoning
        Show what the agents think too.
    raw
        Print the server's own events as it sent them, one a line.
    output
        plain (default): readable text in blocks. json: our events, and the text as it streams, one a line.
    """
    from protocols.errors import InputError  # noqa: PLC0415 - `--help` need not wait for these
    from protocols.session_watch import SessionWatch  # noqa: PLC0415
    from supervisor.session_watching import read_endpoint, watch_server  # noqa: PLC0415

    if raw and output == "json":
        raise InputError("--raw and --output json: only one of them can be printed; leave one out")
    form: Literal["text", "json", "raw"] = "raw" if raw else "json" if output == "json" else "text"
    return watch_server(read_endpoint(url), SessionWatch(only=session, reasoning=reasoning, form=form))
