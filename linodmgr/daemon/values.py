"""A worker as bytes can hold it, and back: each value of the core with the name of its kind."""

from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_type_hints

import msgspec

from linodmgr.core import states
from linodmgr.core.states import Worker

_KINDS: dict[str, type] = {
    kind.__name__: kind for kind in (*get_args(states.State), *get_args(states.Words), Worker)
}


def pack(value: object) -> Any:
    """Return a value of the core as its kind's name and its fields, anything else as builtins."""
    if is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, {one.name: pack(getattr(value, one.name)) for one in fields(value)}]
    return msgspec.to_builtins(value)


def worker(packed: Any) -> Worker:
    """Return the worker that was packed, perhaps by an earlier version. Raises ValueError."""
    found = _unpack(packed)
    if not isinstance(found, Worker):
        raise ValueError(f"{type(found).__name__} is no worker")
    return found


def _unpack(packed: Any) -> Any:
    """Return a value; fields that its kind no longer has are left out."""
    try:
        name, given = packed
        types = _types(_KINDS[name])
        known = {key: _value(value, types[key]) for key, value in given.items() if key in types}
        return _KINDS[name](**known)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ValueError(f"{str(packed)[:80]} is no worker: {error}") from error


def _value(packed: Any, type_: Any) -> Any:
    if isinstance(packed, list) and len(packed) == 2 and packed[0] in _KINDS:
        return _unpack(packed)
    return msgspec.convert(packed, type_)


@cache
def _types(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
