"""The files that bear one name, one after another: which one is to be read, and which comes when that is at its end."""

import os
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from actors.sources.log_files import LogFile, LogFiles
from protocols.errors import SpawnError
from protocols.wording import quote

__all__ = ["Next", "Trail"]


class Next(NamedTuple):
    """A file that took the name over."""

    file: LogFile
    at: float
    """When it was seen first."""
    missed: bool
    """Others had the name in between, and are gone."""


@dataclass(slots=True)
class Trail:
    """Belongs to one thread at a time. To be closed."""

    path: str
    files: LogFiles
    current: LogFile | None = None
    following: deque[Next] = field(default_factory=deque)
    problem: str = ""
    """Why nothing can be had by that name. Empty too where there is nothing."""
    unusable: bool = False
    """That is no matter of waiting: what is there is no file."""
    missed: bool = False
    """Files had the name that nobody saw, and nothing has it now."""
    _taken: int = 0
    """How many of the appearances are accounted for."""
    _left: LogFile | None = None
    _left_size: int = 0

    def begin(self) -> None:
        """What is there now needs no appearance. Raise SpawnError for what is no file."""
        self.look(0, 0.0)
        self._taken = 0
        if self.unusable:
            raise SpawnError(self.problem, "EINVAL")

    def look(self, appeared: int, now: float) -> None:
        """Take in what has the name now. ``appeared``: how often something has got it since `begin`, as far as that was
        told: more than we find is gone."""
        newest = self._take()
        last = self.following[-1].file if self.following else self.current
        came = newest is not None and newest is not last
        if newest is not None and not came:
            self.files.release(newest)
        self._taken += came
        unseen = appeared - self._taken
        self._taken = max(self._taken, appeared)
        if last is None:
            self.current = newest
        elif newest is None or came:
            self.missed = self.missed or unseen > 0
        else:  # it may have been renamed to and fro
            self.missed = self.missed or unseen > 1
        if came and last is not None and newest is not None:
            self.following.append(Next(newest, now, self.missed))
            self.missed = False

    def go_on(self, *, at_end: bool) -> Next:
        """Leave the current file for the next one. ``at_end``: nobody can write to it any more."""
        following = self.following.popleft()
        self._release_left()
        if self.current is not None and at_end:
            self.files.release(self.current)
        elif self.current is not None:
            self._left, self._left_size = self.current, os.fstat(self.current.fd).st_size
        self.current = following.file
        return following

    def late(self) -> int:
        """How many bytes were written since to the file that was left; each is told once."""
        if self._left is None:
            return 0
        before, self._left_size = self._left_size, os.fstat(self._left.fd).st_size
        return max(self._left_size - before, 0)

    def close(self) -> None:
        self._release_left()
        for file in (self.current, *(each.file for each in self.following)):
            if file is not None:
                self.files.release(file)
        self.current = None
        self.following.clear()

    def _take(self) -> LogFile | None:
        self.problem, self.unusable = "", False
        try:
            return self.files.take(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except SpawnError as error:
            self.problem, self.unusable = str(error), True
        except OSError as error:
            self.problem = f"logfile {quote(self.path)}: {error.strerror}; make it readable for this user"
        return None

    def _release_left(self) -> None:
        if self._left is not None:
            self.files.release(self._left)
            self._left = None
