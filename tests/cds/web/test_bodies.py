"""What is taken for the JSON of a call, and what is refused before anybody looks at it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.errors import HookRequestError
from cds.web.bodies import DEEPEST_BODY, read_json
from tests.cds.web.calls import diagnostics, full
from tests.cds.web.conftest import URL, Service

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=20,
)


def nested(levels: int, opening: str = "[", innermost: str = "1", closing: str = "]") -> bytes:
    """JSON that nests so deep."""
    return f"{opening * levels}{innermost}{closing * levels}".encode()


@given(JSON)
def test_json_of_bounded_depth_is_read_as_it_is_written(value: Any) -> None:
    assert read_json(json.dumps(value).encode()) == value
    assert read_json(json.dumps(value, ensure_ascii=False).encode("utf-8-sig")) == value


@pytest.mark.parametrize(
    "body",
    [
        b'{"patientId": "p1", "patientId": "p2"}',
        b'{"patientId": "p1", "patientId": "p1"}',
        b'{"patientId": "p1", "p\\u0061tientId": "p2"}',
        b'[{"context": {"a": 1, "b": {}, "a": 2}}]',
    ],
)
def test_an_object_with_one_name_twice_could_mean_two_patients_and_is_refused(body: bytes) -> None:
    with pytest.raises(HookRequestError, match="twice"):
        read_json(body)


@given(st.dictionaries(st.text(max_size=3), st.integers(), min_size=1, max_size=5), st.data())
def test_a_name_that_comes_again_is_found_wherever_it_stands(members: dict[str, int], data: st.DataObject) -> None:
    again = data.draw(st.sampled_from(sorted(members)))
    pairs = data.draw(st.permutations([*members.items(), (again, 0)]))
    text = ", ".join(f"{json.dumps(name)}: {value}" for name, value in pairs)

    with pytest.raises(HookRequestError, match="twice"):
        read_json(f'{{"in": [{{{text}}}]}}'.encode())


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_number_that_is_none_is_refused(number: str) -> None:
    with pytest.raises(HookRequestError, match="RFC 8259"):
        read_json(f'{{"value": {number}}}'.encode())


@pytest.mark.parametrize("body", [b'"\xfc"', "{}".encode("utf-16"), "{}".encode("utf-32"), b"\xff\xfe{}", b"{}{}", b""])
def test_what_is_not_utf_8_or_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(HookRequestError, match="RFC 8259"):
        read_json(body)


@pytest.mark.parametrize("shape", [("[", "1", "]"), ('{"a":', "1", "}"), ("[", "[]", "]"), ('[{"a":', "1", "}]")])
def test_the_depth_that_is_allowed_is_read_and_one_more_is_refused(shape: tuple[str, str, str]) -> None:
    opening, innermost, closing = shape
    each = opening.count("[") + opening.count("{")
    levels = (DEEPEST_BODY - (innermost == "[]")) // each
    read_json(nested(levels, opening, innermost, closing))

    with pytest.raises(HookRequestError, match="deeper than 64"):
        read_json(nested(levels + 1, opening, innermost, closing))


@pytest.mark.parametrize("levels", [1_000, 100_000, 1_000_000])
def test_a_depth_that_would_exhaust_the_stack_is_refused_like_any_other(levels: int) -> None:
    with pytest.raises(HookRequestError):
        read_json(nested(levels))


@pytest.mark.parametrize(
    "said",
    ["application/json", "application/json; charset=UTF-8", "application/json;charset=utf-8", "Application/JSON"],
)
def test_json_is_taken_in_however_its_type_is_written(service: Service, said: str) -> None:
    assert service.client().post(URL, data=json.dumps(full()), content_type=said).status_code == 200


@pytest.mark.parametrize(
    "said",
    [
        *(None, "", "text/plain", "application/xml", "application/x-www-form-urlencoded", "application/jsonp"),
        *("application/json; charset=iso-8859-1", "multipart/form-data; boundary=x", "text/json", "json"),
    ],
)
@pytest.mark.parametrize("path", [URL, f"{URL}/feedback"])
def test_another_type_of_body_is_unsupported(service: Service, said: str | None, path: str) -> None:
    """H3: 415."""
    answer = service.client().post(path, data=json.dumps(full()), content_type=said)

    assert "application/json in UTF-8" in diagnostics(answer, 415)


def test_a_refused_body_is_not_quoted(service: Service) -> None:
    body = b'{"patientId": "hidden-1", "patientId": "hidden-2", "hidden-3": NaN'

    answer = service.client().post(URL, data=body, content_type="application/json")

    assert diagnostics(answer, 400)
    assert "hidden" not in answer.text
