"""``impatient.py callboard ARGUMENT…``: the command line, which takes a stream for dead after 3 s without a byte."""

import functools
import sys

from actors.sources import session
from actors.sources.session import SessionSource
from supervisor.cli.main import main

if __name__ == "__main__":
    del sys.argv[0]
    session.SessionSource = functools.partial(SessionSource, patience=3.0)  # type: ignore[assignment,misc]
    main()
