from __future__ import annotations

from pathlib import Path

from model.card import CARD_NAME, DEMO_MODEL
from model.installed import installed_models, model_folder
from tests.model.tiny_model import install_tiny_model


def test_the_demo_model_is_always_installed(tmp_path: Path) -> None:
    (demo,) = installed_models(tmp_path / "nothing")
    assert (demo.name, demo.folder, demo.problem) == (DEMO_MODEL.name, DEMO_MODEL, "")


def test_the_demo_model_is_listed_once_where_the_models_folder_is_its_own() -> None:
    assert [found.name for found in installed_models(DEMO_MODEL.parent)] == [DEMO_MODEL.name]


def test_models_are_listed_by_name_and_other_folders_are_not(tmp_path: Path) -> None:
    for name in ("mirai", "another", ".import-abc"):
        install_tiny_model(tmp_path / name)
    (tmp_path / "notes").mkdir()
    (tmp_path / "README.txt").write_text("")
    assert [found.name for found in installed_models(tmp_path)] == [DEMO_MODEL.name, "another", "mirai"]


def test_a_model_with_a_broken_card_is_listed_with_its_problem(tmp_path: Path) -> None:
    install_tiny_model(tmp_path / "mirai")
    (tmp_path / "mirai" / CARD_NAME).write_text("{}")
    broken = installed_models(tmp_path)[1]
    assert broken.card is None
    assert "not a model card" in broken.problem


def test_a_card_nested_beyond_all_bounds_hides_no_other_model(tmp_path: Path) -> None:
    for name in ("broken", "mirai"):
        install_tiny_model(tmp_path / name)
    (tmp_path / "broken" / CARD_NAME).write_text("[" * 100_000)
    assert [found.card is None for found in installed_models(tmp_path)] == [False, True, False]


def test_a_model_is_found_by_its_name_or_by_its_folder(tmp_path: Path) -> None:
    install_tiny_model(tmp_path / "mirai")
    assert model_folder(Path("mirai"), tmp_path) == tmp_path / "mirai"
    assert model_folder(tmp_path / "mirai", Path("elsewhere")) == tmp_path / "mirai"
    assert model_folder(Path("phantom-demo"), tmp_path) == DEMO_MODEL
