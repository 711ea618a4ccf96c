from __future__ import annotations

import contextlib
import copyreg
import gc
import pickle
import struct
import time
import tracemalloc
from collections import OrderedDict
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import ReleaseRefused
from model.release.inert_pickle import Budget, Inert, Name, read_pickle

Plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(-9, 9), inner),
    max_leaves=20,
)


def read(pickled: bytes, **options: Any) -> Any:
    return read_pickle(BytesIO(pickled), **options)


@given(Plain, st.integers(3, pickle.HIGHEST_PROTOCOL))
def test_plain_data_comes_back_as_it_was_pickled(data: Any, protocol: int) -> None:
    assert read(pickle.dumps(data, protocol)) == data


@given(st.recursive(st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_plain_data_comes_back_from_the_old_protocols_too(data: Any) -> None:
    for protocol in range(3):
        assert read(pickle.dumps(data, protocol)) == data


def test_several_pickles_are_read_one_after_the_other_from_one_stream() -> None:
    stream = BytesIO(pickle.dumps(1) + pickle.dumps("two") + b"the rest")
    assert (read_pickle(stream), read_pickle(stream), stream.read()) == (1, "two", b"the rest")


class Thing:
    """Something whose class is not on any short list."""

    def __init__(self) -> None:
        self.heads = 8

    def __setstate__(self, state: Any) -> None:
        raise AssertionError("it was made")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_object_is_its_class_by_name_and_its_state(protocol: int) -> None:
    thing = read(pickle.dumps(Thing(), protocol))
    assert isinstance(thing, Inert)
    assert thing.name == f"{Thing.__module__}.Thing"
    assert thing.state == {"heads": 8}


def test_what_a_class_of_the_short_list_is_made_of_becomes_data() -> None:
    pickled = pickle.dumps(OrderedDict(a=1, b=2), 2)
    assert read(pickled, makers={"collections.OrderedDict": lambda _: {}}) == {"a": 1, "b": 2}
    assert isinstance(read(pickled), Inert)


def test_a_set_is_a_list_because_nothing_of_it_is_hashed() -> None:
    assert sorted(read(pickle.dumps({1, 2, 3}, 4))) == [1, 2, 3]
    assert sorted(read(pickle.dumps(frozenset({1, 2}), 4))) == [1, 2]


# What a hostile file tries. `trace` is a file that appears wherever the pickle is run.


class Reduces:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.called = function, arguments

    def __reduce__(self) -> Any:
        return self.called


def _attacks(trace: Path) -> dict[str, bytes]:
    import os

    shell = f"touch {trace}"
    code = f"__import__('pathlib').Path({str(trace)!r}).touch()"
    text = struct.pack("<I", len(shell)) + shell.encode()
    evaluated = struct.pack("<I", len(code)) + code.encode()
    return {
        "os.system": pickle.dumps(Reduces(os.system, shell), 2),
        "eval by GLOBAL": pickle.dumps(Reduces(eval, code), 2),
        "eval by STACK_GLOBAL": pickle.dumps(Reduces(eval, code), 4),
        "exec in the text protocol": pickle.dumps(Reduces(exec, code), 0),
        "a method of a path": pickle.dumps(Reduces(Path.touch, trace), 4),
        "INST": b"(X" + text + b"ios\nsystem\n.",
        "OBJ": b"(cos\nsystem\nX" + text + b"o.",
        "NEWOBJ": b"\x80\x02cos\nsystem\nX" + text + b"\x85\x81.",
        "NEWOBJ_EX": b"\x80\x04cos\nsystem\nX" + text + b"\x85}\x92.",
        "one call inside another": b"cbuiltins\ngetattr\n(cbuiltins\neval\nX\x08\x00\x00\x00__call__tR(X"
        + evaluated
        + b"tR.",
        "a state that is called": b"cbuiltins\nobject\n)\x81}X\x0c\x00\x00\x00__setstate__cos\nsystem\nsbX"
        + text
        + b"b.",
        "appending to a stub": b"cos\nsystem\n)\x81(X" + text + b"e.",
        "items of a stub": b"cos\nsystem\n)\x81(X" + text + b"Nu.",
    }


@pytest.mark.parametrize("attack", sorted(_attacks(Path("trace"))))
def test_whatever_a_pickle_asks_to_call_is_never_called(attack: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    read(_attacks(trace)[attack])
    assert not trace.exists()


def test_the_tripwires_would_have_tripped(tmp_path: Path) -> None:
    for attack, pickled in _attacks(tmp_path / "trace").items():
        if attack.startswith(("NEWOBJ", "a state", "appending", "items")):
            continue  # these make pickle itself stumble before anything is called
        (tmp_path / "trace").unlink(missing_ok=True)
        with contextlib.suppress(TypeError):
            pickle.loads(pickled)  # noqa: S301 - our own attack on ourselves
        assert (tmp_path / "trace").exists(), attack


def test_an_extension_code_is_refused_even_where_the_process_knows_it() -> None:
    copyreg.add_extension("os", "system", 242)
    try:
        for opcode in (b"\x82\xf2", b"\x83\xf2\x00", b"\x84\xf2\x00\x00\x00"):
            with pytest.raises(ReleaseRefused, match="EXT"):
                read(opcode + b".")
    finally:
        copyreg.remove_extension("os", "system", 242)


@pytest.mark.parametrize("pickled", [b"Pjunk\n.", b"K\x01Q."])
def test_something_outside_the_pickle_is_refused_where_nothing_can_be(pickled: bytes) -> None:
    with pytest.raises(ReleaseRefused, match="outside"):
        read(pickled)


@pytest.mark.parametrize(
    "pickled",
    [
        b"",
        b".",
        b"garbage",
        b"(.",
        b"t.",
        b"R.",
        b"K\x01R.",
        b"NN\x93.",
        b"\x85.",
        b"N\x87.",
        b"h\x07.",
        b"Nq\x00",
        b"K\x01a.",
        b"K\x01K\x02a.",
        b"NNNs.",
        b"}(Nu.",
        b"(Nd.",
        b"]N\x90.",
        b"\x97.",
        b"N\x98.",
        b"b.",
        b"(o.",
        b"X\xff\xff\xff\x7fshort.",
        b"\x8d" + b"\xff" * 8 + b"short.",
        b"\x96" + b"\xff" * 7 + b"\x0f.",
        b"\x8b\xff\xff\xff\x7f\x00.",
        b"\x8b\xff\xff\xff\xff.",
        b"I" + b"9" * 5000 + b"\n.",
        b"L" + b"9" * 100_000 + b"L\n.",
        b"Fx\n.",
        b"V\\ud800\n\x85.",
        b"X\x01\x00\x00\x00\xff.",
    ],
)
def test_a_pickle_that_is_not_in_order_is_refused_or_is_data(pickled: bytes) -> None:
    with contextlib.suppress(ReleaseRefused):
        read(pickled)


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_any_bytes_are_refused_or_are_data(pickled: bytes) -> None:
    with contextlib.suppress(ReleaseRefused):
        read(pickled)


def test_every_cut_of_a_real_pickle_is_refused() -> None:
    pickled = pickle.dumps({"a": [1, 2.5, ("x", b"y")], "b": Thing()}, 4)
    for end in range(len(pickled)):
        with pytest.raises(ReleaseRefused):
            read(pickled[:end])


def _peak_of(pickled: bytes) -> tuple[float, float]:
    """Seconds of the processor, and MiB, that reading takes."""
    gc.collect()
    tracemalloc.start()
    started = time.thread_time()
    with contextlib.suppress(ReleaseRefused):
        read(pickled)
    seconds, (_, peak) = time.thread_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return seconds, peak / 2**20


DOUBLED = b"2\x86" * 5000
"""Duplicate what is on top, make a pair of the two: 2^5000 paths through it."""


@pytest.mark.parametrize(
    "pickled",
    [
        b"N" + DOUBLED + b".",
        b"}N" + DOUBLED + b"Ns.",
        b"}q\x00" + b"(h\x00" + b"N" + DOUBLED + b"Nu.",
        b"\x8f(N" + DOUBLED + b"\x90.",
        b"N" + b"\x85" * 200_000 + b".",
        b"}(N" + b"\x85" * 200_000 + b"Nu.",
        b"]" * 100_000 + b"a" * 99_999 + b".",
        b"(" * 200_000,
        b"]q\x00" + b"h\x00a" * 100_000 + b".",
        b"Nr\xff\xff\xff\x7f.",
        b"Np2147483647\n.",
        b"\x96\x00\x00\x00\x00\x10\x00\x00\x00.",
        b"\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.",
        b"ccollections\nOrderedDict\n" + b"N" + DOUBLED + b"\x85R.",
    ],
    ids=range(14),
)
def test_a_bomb_of_a_few_bytes_takes_neither_time_nor_memory(pickled: bytes) -> None:
    seconds, mebibytes = _peak_of(pickled)
    assert seconds < 5
    assert mebibytes < 100


def test_equal_long_texts_are_not_compared_again_and_again() -> None:
    text = b"X" + struct.pack("<I", 20_000_000) + b"a" * 20_000_000
    seconds, mebibytes = _peak_of(b"}" + text + b"q\x000" + text + b"q\x010" + b"h\x00Ns" + b"h\x01Ns" * 20_000 + b".")
    assert seconds < 10
    assert mebibytes < 300


def test_whole_numbers_that_collide_as_keys_do_not_take_for_ever() -> None:
    keys = b"".join(
        pickle.LONG1 + b"\x0a" + ((n << 64) - n).to_bytes(10, "little", signed=True) + b"N" for n in range(9999)
    )
    seconds, _ = _peak_of(b"}(" + keys + b"u.")
    assert seconds < 5


def test_more_instructions_than_a_release_needs_are_refused() -> None:
    budget = Budget(1000)
    assert read(b"N0" * 300 + b"N.", budget=budget) is None
    assert budget.left == 398
    with pytest.raises(ReleaseRefused, match="more instructions"):
        read(b"N0" * 300 + b"N.", budget=budget)
    assert budget.left == 0


def test_a_class_alone_is_only_its_name() -> None:
    found = read(pickle.dumps(eval, 4))
    assert isinstance(found, Name)
    assert found.name == "builtins.eval"


def test_a_text_with_an_escape_sequence_that_is_none_is_refused_and_not_warned_of() -> None:
    with pytest.raises(ReleaseRefused, match="not in order"):
        read_pickle(BytesIO(b"S'\\o'\n."))
