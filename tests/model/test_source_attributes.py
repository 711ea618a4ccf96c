"""The 31 source attributes: their places in the regulation, and a model's file that is complete or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import model.release
from model.card import DEMO_MODEL, read_card
from model.errors import AttributesBroken
from model.release.published import NAME
from model.source_attributes import ATTRIBUTES, FILE_NAME, GROUPS, Told, read_source_attributes

RELEASE = Path(model.release.__file__).parent
CHECKOUT = Path(__file__).parents[2]


def write(folder: Path, blocks: dict[str, str], name: str = "tiny") -> Path:
    """A file with these blocks, by key."""
    written = "\n".join(f"[{key}]\n{block}" for key, block in blocks.items())
    (folder / FILE_NAME).write_text(f'model = "{name}"\n{written}\n', encoding="utf-8")
    return folder


def all_absent() -> dict[str, str]:
    return dict.fromkeys(ATTRIBUTES, "absent = true")


# The regulation


def test_there_are_thirty_one_in_nine_groups() -> None:
    assert [len(group.attributes) for group in GROUPS] == [4, 4, 2, 4, 2, 4, 5, 4, 2]
    assert len(ATTRIBUTES) == 31
    assert len({one.title for one in ATTRIBUTES.values()}) == 31


@pytest.mark.parametrize(
    ("key", "paragraph", "begins"),
    [
        ("details.developer", "(1)(i)", "Name and contact information"),
        ("fairness.bias", "(5)(ii)", "Description of approaches to manage, reduce, or eliminate bias"),
        ("performance.outcomes", "(7)(v)", "References to evaluation of use of the intervention on outcomes"),
        ("maintenance.local_fairness", "(8)(iv)", "Fairness of intervention in local data"),
        ("update.correction", "(9)(ii)", "Description of frequency by which the intervention's performance"),
    ],
)
def test_each_stands_where_the_regulation_has_it(key: str, paragraph: str, begins: str) -> None:
    assert ATTRIBUTES[key].paragraph == paragraph
    assert ATTRIBUTES[key].title.startswith(begins)


# Our own files


@pytest.mark.parametrize(("folder", "name"), [(DEMO_MODEL, read_card(DEMO_MODEL).name), (RELEASE, NAME)])
def test_the_files_that_ship_are_complete_and_leave_local_data_to_the_site(folder: Path, name: str) -> None:
    told = read_source_attributes(folder, name)

    assert told
    assert {"maintenance.local_validity", "maintenance.local_fairness"}.isdisjoint(told)


@pytest.mark.parametrize(("folder", "name"), [(DEMO_MODEL, read_card(DEMO_MODEL).name), (RELEASE, NAME)])
def test_a_file_of_this_project_that_is_a_source_is_there(folder: Path, name: str) -> None:
    sources = [part for told in read_source_attributes(folder, name).values() for part in told.source.split(", ")]
    files = [word for source in sources for word in source.split("; ") if word.endswith((".py", ".json", "Makefile"))]

    assert files
    assert [file for file in files if not (CHECKOUT / file).is_file()] == []


def test_the_figures_of_the_demo_model_are_those_of_its_card() -> None:
    text = read_source_attributes(DEMO_MODEL, "phantom-demo")["performance.validity"].text
    measured = read_card(DEMO_MODEL).measured

    assert (
        f"c-index {measured['c_index']}, of the planted risk itself {measured['c_index_of_the_planted_risk']}" in text
    )
    assert f"{measured['held_out_exams']} synthetic exams" in text
    assert f"{100 * measured['median_relative_error']:.1f} %" in text


# A file


def test_a_model_without_a_file_tells_nothing(tmp_path: Path) -> None:
    assert read_source_attributes(tmp_path, "tiny") == {}


def test_what_is_absent_is_left_out_and_the_rest_told_with_its_source(tmp_path: Path) -> None:
    write(tmp_path, {**all_absent(), "details.funding": 'text = "A grant"\nsource = "doi:10.1/x"'})

    assert read_source_attributes(tmp_path, "tiny") == {"details.funding": Told("A grant", "doi:10.1/x")}


@given(left_out=st.sets(st.sampled_from(sorted(ATTRIBUTES)), min_size=1))
def test_a_file_that_leaves_any_out_is_refused_with_their_names(
    left_out: set[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept = {key: block for key, block in all_absent().items() if key not in left_out}

    with pytest.raises(AttributesBroken, match="write absent = true") as refused:
        read_source_attributes(write(tmp_path_factory.mktemp("model"), kept), "tiny")

    assert all(key in str(refused.value) for key in left_out)


@pytest.mark.parametrize(
    "block",
    [
        'text = "A grant"',
        'source = "doi:10.1/x"',
        'text = ""\nsource = "doi:10.1/x"',
        'text = "A grant"\nsource = " "',
        'text = "A\\ngrant"\nsource = "x"',
        'text = "A \\u202egrant"\nsource = "x"',
        'text = 3\nsource = "x"',
        'text = "A grant"\nsource = "x"\nabsent = true',
        'text = "A grant"\nsource = "x"\nurl = "y"',
        "absent = false",
        "",
    ],
)
def test_an_attribute_without_a_source_or_with_anything_else_is_refused(block: str, tmp_path: Path) -> None:
    write(tmp_path, {**all_absent(), "details.funding": block})

    with pytest.raises(AttributesBroken, match=r"details\.funding must have text and source"):
        read_source_attributes(tmp_path, "tiny")


@pytest.mark.parametrize("key", ["details.price", "costs.developer", "costs"])
def test_an_attribute_that_there_is_not_is_refused(key: str, tmp_path: Path) -> None:
    write(tmp_path, {**all_absent(), key: "absent = true"})

    with pytest.raises(AttributesBroken, match=f"no such attribute: {key}"):
        read_source_attributes(tmp_path, "tiny")


def test_an_attribute_twice_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, all_absent()) / FILE_NAME
    file.write_text(file.read_text() + "[details.funding]\nabsent = true\n")

    with pytest.raises(AttributesBroken, match="cannot be read: "):
        read_source_attributes(tmp_path, "tiny")


@pytest.mark.parametrize("content", [b"\xff", b"model = ", b"a" * (1 << 19)])
def test_a_file_that_is_none_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)

    with pytest.raises(AttributesBroken):
        read_source_attributes(tmp_path, "tiny")


def test_the_file_of_another_model_is_refused(tmp_path: Path) -> None:
    write(tmp_path, all_absent(), "another")

    with pytest.raises(AttributesBroken, match="is of the model 'another', and the model's card says 'tiny'"):
        read_source_attributes(tmp_path, "tiny")
