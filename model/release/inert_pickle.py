"""Read a pickle as data: nothing is imported, nothing is called, whatever the file says.

A pickle is a program for a small stack machine, and pickle.Unpickler runs it: even with `find_class` overridden it
calls what that returns, looks extension codes up in a cache of real classes, and allocates whatever size a file
announces. So the machine here is our own, over pickletools.genops, which decodes one instruction at a time with every
length checked against the file. A class or function is only ever its name, an object only what was said about it.

What a hostile file can still do is bounded: memory and time by the number of instructions, which are counted over all
files of an import; nested or shared structure is never walked here; and dictionary keys are hashed only where that is
cheap.
"""

from __future__ import annotations

import pickletools
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from model.errors import ReleaseRefused

MAX_INSTRUCTIONS: Final = 30_000_000
"""Of pickles that nobody vouches for: at most some 3 GB of objects and a minute."""


@dataclass
class Budget:
    """How many instructions may still be read: of one pickle after another, whatever becomes of each."""

    left: int = MAX_INSTRUCTIONS


class Name:
    """A class or function that the pickle mentions, as its dotted name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Inert:
    """An object as the pickle describes it: what it would be made by, from what, and in which state."""

    __slots__ = ("args", "items", "name", "state")

    def __init__(self, name: str, args: Any = ()) -> None:
        self.name, self.args, self.state = name, args, None
        self.items: list[Any] | None = None


Maker = Callable[[tuple[Any, ...]], Any]
"""Makes plain data from the arguments that the pickle gives to a class or function of the short list."""

LARGEST_KEY: Final = 2**31
"""Larger whole numbers as dictionary keys could be chosen to collide."""

LONGEST_KEY: Final = 1000
"""Two equal long texts as keys would be compared from end to end each time."""

_LITERALS: Final = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
"""Instructions that put their own argument on the stack."""


def read_pickle(
    stream: BinaryIO,
    makers: Mapping[str, Maker] | None = None,
    persistent: Callable[[Any], Any] | None = None,
    budget: Budget | None = None,
) -> Any:
    """The object of the pickle that starts here in the stream, which is left behind its end; raises ReleaseRefused.

    What it reads is taken off the `budget`; without one it has a whole one of its own. `makers` is the short list: what
    stands on it, by dotted name, becomes plain data; everything else stays `Inert`.
    """
    machine = _Machine(makers or {}, persistent)
    try:
        with warnings.catch_warnings():
            # A text with an escape sequence that is none is out of order, and no matter for a warning.
            warnings.simplefilter("error", DeprecationWarning)
            _run(machine, stream, budget or Budget())
        return machine.stack.pop()
    except (ValueError, LookupError, OverflowError, MemoryError, DeprecationWarning, struct.error) as e:
        raise ReleaseRefused(f"a pickle is cut short or not in order ({type(e).__name__})") from e


def _run(machine: _Machine, stream: BinaryIO, budget: Budget) -> None:
    for opcode, argument, _ in pickletools.genops(stream):
        if budget.left <= 0:
            raise ReleaseRefused("the files have more instructions in their pickles than are read for one release")
        budget.left -= 1
        if opcode.name in _LITERALS:
            machine.stack.append(argument)
        else:
            machine.execute(opcode.name, argument)


class _Machine:
    """The stack, its marks and the memo; one method for each kind of instruction."""

    def __init__(self, makers: Mapping[str, Maker], persistent: Callable[[Any], Any] | None) -> None:
        self.stack: list[Any] = []
        self._below_marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._makers, self._persistent = makers, persistent

    def execute(self, name: str, argument: Any) -> None:
        instruction = _INSTRUCTIONS.get(name)
        if instruction is None:
            raise ReleaseRefused(f"a pickle uses the instruction {name}, which no release of Mirai needs")
        instruction(self, argument)

    def since_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self._below_marks.pop()
        return items

    def mark(self, _: Any) -> None:
        self._below_marks.append(self.stack)
        self.stack = []

    def pop(self, _: Any) -> None:
        """Takes a mark where nothing lies above it, as pickle does."""
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def put(self, number: int) -> None:
        self._memo[number] = self.stack[-1]

    def memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self.stack[-1]

    def get(self, number: int) -> None:
        self.stack.append(self._memo[number])

    def tuple_of(self, size: int) -> None:
        items = tuple(self.stack[len(self.stack) - size :])
        if len(items) < size:
            raise IndexError("stack")
        self.stack[-size:] = [items]

    def push(self, value: Any) -> None:
        """For what `since_mark` gives: `stack.append(since_mark())` would take the stack as it was before."""
        self.stack.append(value)

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Inert):
            target.items = target.items or []
            target = target.items
        if not isinstance(target, list):
            raise ReleaseRefused("a pickle appends to something that is no list")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            _filled(target, items)
        elif isinstance(target, Inert):
            self.extend(items)
        else:
            raise ReleaseRefused("a pickle sets items of something that is no dictionary")

    def two(self) -> list[Any]:
        value, key = self.stack.pop(), self.stack.pop()
        return [key, value]

    def stack_global(self, _: Any) -> None:
        module, name = self.two()
        if not (isinstance(module, str) and isinstance(name, str)):
            raise ReleaseRefused("a pickle names a class by something that is no text")
        self.stack.append(Name(f"{module}.{name}"))

    def instance(self, name: str) -> None:
        self.push(self._make(_dotted(name), tuple(self.since_mark())))

    def object_of_class(self, _: Any) -> None:
        made_by, *arguments = self.since_mark()
        self.stack.append(self._make(made_by, tuple(arguments)))

    def call(self, _: Any) -> None:
        made_by, arguments = self.two()
        self.stack.append(self._make(made_by, arguments))

    def call_with_keywords(self, _: Any) -> None:
        self.stack.pop()
        self.call(_)

    def _make(self, made_by: Any, arguments: Any) -> Any:
        """What pickle would call is looked up on the short list, or else stays a note of what was asked for."""
        if not isinstance(made_by, Name):
            return Inert("", arguments)
        if made_by.name in ("copyreg._reconstructor", "copy_reg._reconstructor"):
            cls = arguments[0] if isinstance(arguments, tuple) and arguments else None
            return Inert(cls.name if isinstance(cls, Name) else "")
        maker = self._makers.get(made_by.name)
        if maker is None or not isinstance(arguments, tuple):
            return Inert(made_by.name, arguments)
        return maker(arguments)

    def build(self, _: Any) -> None:
        """Keep the state as data; an object of the short list has none that matters."""
        state = self.stack.pop()
        if isinstance(self.stack[-1], Inert):
            self.stack[-1].state = state

    def persistent_id(self, pid: Any) -> None:
        if self._persistent is None:
            raise ReleaseRefused("a pickle refers to something outside itself")
        self.stack.append(self._persistent(pid))


def _filled(target: dict[Any, Any], items: list[Any]) -> dict[Any, Any]:
    """A shared tuple can take for ever to hash, so keys that are not simple only keep their place."""
    for key, value in zip(items[::2], items[1::2], strict=True):
        target[key if _is_simple(key) else object()] = value
    return target


def _is_simple(key: Any) -> bool:
    if isinstance(key, str):
        return len(key) <= LONGEST_KEY
    return type(key) is int and abs(key) < LARGEST_KEY


def _dotted(module_and_name: str) -> Name:
    return Name(module_and_name.replace(" ", "."))


_INSTRUCTIONS: Final[dict[str, Callable[[_Machine, Any], None]]] = {
    "PROTO": lambda _machine, _: None,
    "FRAME": lambda _machine, _: None,
    "STOP": lambda _machine, _: None,
    "NONE": lambda machine, _: machine.stack.append(None),
    "NEWTRUE": lambda machine, _: machine.stack.append(True),
    "NEWFALSE": lambda machine, _: machine.stack.append(False),
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": lambda machine, _: _forget(machine.since_mark()),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.memoize,
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "LIST": lambda machine, _: machine.push(machine.since_mark()),
    "APPEND": lambda machine, _: machine.extend([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    # A set hashes what it holds: here it is a list.
    "EMPTY_SET": lambda machine, _: machine.stack.append([]),
    "ADDITEMS": lambda machine, _: machine.extend(machine.since_mark()),
    "FROZENSET": lambda machine, _: machine.push(machine.since_mark()),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "DICT": lambda machine, _: machine.push(_filled({}, machine.since_mark())),
    "SETITEM": lambda machine, _: machine.set_items(machine.two()),
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    "GLOBAL": lambda machine, name: machine.stack.append(_dotted(name)),
    "STACK_GLOBAL": _Machine.stack_global,
    "INST": _Machine.instance,
    "OBJ": _Machine.object_of_class,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "NEWOBJ_EX": _Machine.call_with_keywords,
    "BUILD": _Machine.build,
    "PERSID": _Machine.persistent_id,
    "BINPERSID": lambda machine, _: machine.persistent_id(machine.stack.pop()),
}
"""All but EXT1/2/4 and out-of-band buffers, which a file on its own cannot have."""


def _forget(_items: list[Any]) -> None:
    """POP_MARK drops what it takes."""
