"""Any event at all, for Hypothesis: a few tasks, a few attempts, everything else as wild as its type allows."""

from types import UnionType
from typing import TypeVar, Union, get_args, get_origin

import msgspec
from hypothesis import strategies as st

from protocols.events import Event, InstanceRecord, Record

__all__ = ["events", "records"]

_FEW: dict[str, st.SearchStrategy[object]] = {
    "task": st.sampled_from(["a", "b", "c"]),
    "worker": st.sampled_from(["a", "b", "c"]),
    "tasks": st.lists(st.sampled_from(["a", "b", "c", "d"])).map(tuple),
    "attempt": st.integers(0, 4),
    "offset": st.integers(0, 2**40),
    "length": st.integers(0, 2**40),
}
"""What has to name the same things now and then."""
_Made = TypeVar("_Made", bound=msgspec.Struct)
_MOMENTS = st.floats(0, 4e9)


def _of_type(kind: object) -> st.SearchStrategy[object]:
    """Moments, durations and costs are numbers, wherever they stand: nobody writes an infinity down."""
    parts = [_of_type(part) for part in get_args(kind) if part is not Ellipsis]
    match get_origin(kind):
        case _ if kind is float:
            return _MOMENTS
        case origin if origin in {Union, UnionType}:
            return st.one_of(parts)
        case origin if origin is dict:
            return st.dictionaries(*parts)
        case origin if origin is tuple and len(parts) == 1:
            return st.lists(*parts).map(tuple)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _of_kind(kind)
    return st.from_type(kind)  # type: ignore[arg-type] # the type of a field


def _of_kind(kind: type[_Made]) -> st.SearchStrategy[_Made]:
    fields = msgspec.structs.fields(kind)
    return st.builds(
        kind, **{each.name: _FEW[each.name] if each.name in _FEW else _of_type(each.type) for each in fields}
    )


_own_events = st.one_of([_of_kind(kind) for kind in get_args(Event) if kind is not InstanceRecord])
_FEW["event"] = _own_events
_FEW["path"] = st.sampled_from(["a", "b", "a/c"]) | st.text()
_FEW["numbers"] = st.lists(st.integers(0, 9), max_size=3).map(tuple)
events: st.SearchStrategy[Event] = st.one_of([_of_kind(kind) for kind in get_args(Event)])
records: st.SearchStrategy[list[Record]] = st.lists(events, max_size=30).map(
    lambda found: [Record(seq, event) for seq, event in enumerate(found, 1)]
)
"""A journal from its first record on, in an order that no run would ever write."""
