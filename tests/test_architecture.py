"""The import arrows: model <- fhir_mappings <- hooks <- cds, and what each package may load."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cds.builders import order_select, prefetch
from tests.cds.model_card import model_folder

ROOT = Path(__file__).parent.parent
OURS = ("model", "fhir_mappings", "hooks", "cds")
PURE = ("fhir_mappings", "hooks")

MAY_IMPORT = {
    "model": ("model",),
    "fhir_mappings": ("fhir_mappings", "model.domain"),
    "hooks": ("hooks", "fhir_mappings", "model.domain"),
    "cds": OURS,
}
"""Of our own packages. A name stands for itself and everything below it."""

LIBRARIES = {
    "model": ("imagecodecs", "numpy", "pydicom", "safetensors", "torch", "PIL"),
    "fhir_mappings": ("fhir", "pydantic"),
    "hooks": (),
}
"""Beside the standard library; `cds` touches the world and may use any."""

DOES_IO = ("asyncio", "http", "os", "pathlib", "shutil", "socket", "sqlite3", "subprocess", "tempfile", "threading",
           "time", "urllib.request")  # fmt: skip
"""Standard modules that reach out of the process, or wait: what decides is handed everything."""


def complaints(module: str, source: str) -> list[str]:
    """What a module imports against the arrows, wherever in it and even if only for its types."""
    imported = sorted(set(_imports(module, ast.parse(source))))
    return [f"{module} imports {name}" for name in imported if not _allowed(module, name)]


def _allowed(module: str, name: str) -> bool:
    package, top = module.partition(".")[0], name.partition(".")[0]
    if module == "model.domain":
        return top in sys.stdlib_module_names
    if top in OURS:
        return _is_below(name, MAY_IMPORT[package])
    if package == "cds":
        return True
    if package in PURE and _is_below(name, DOES_IO):
        return False
    return top in sys.stdlib_module_names or top in LIBRARIES[package]


def _is_below(name: str, names: tuple[str, ...]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in names)


def _imports(module: str, tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(module, node)
            # `from model import domain` is an import of model.domain, `from model import domain, card` of both.
            is_package = base in OURS
            yield from ([f"{base}.{alias.name}" for alias in node.names] if is_package else [base])


def _base(module: str, node: ast.ImportFrom) -> str:
    above = module.split(".")[: -node.level] if node.level else []
    return ".".join([*above, *([node.module] if node.module else [])])


def modules(*packages: str) -> Iterator[tuple[str, Path]]:
    """The dotted name and file of every module of these packages."""
    for package in packages:
        for file in sorted((ROOT / package).rglob("*.py")):
            path = file.relative_to(ROOT).with_suffix("")
            yield ".".join(part for part in path.parts if part != "__init__"), file


def test_every_import_follows_the_arrows() -> None:
    found = list(modules(*OURS))

    assert {name.partition(".")[0] for name, _ in found} == set(OURS)
    assert len(found) > 50
    assert [said for name, file in found for said in complaints(name, file.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("module", "source", "said"),
    [
        ("model.scorer", "import fhir_mappings.codes", "model.scorer imports fhir_mappings.codes"),
        ("model.scorer", "from hooks import cards", "model.scorer imports hooks.cards"),
        ("model.scorer", "import requests", "model.scorer imports requests"),
        ("model.domain", "import numpy", "model.domain imports numpy"),
        ("model.domain", "from model.card import ModelCard", "model.domain imports model.card"),
        ("fhir_mappings.codes", "import torch.nn", "fhir_mappings.codes imports torch.nn"),
        ("fhir_mappings.codes", "from model.scorer import Scorer", "fhir_mappings.codes imports model.scorer"),
        ("fhir_mappings.codes", "from model import scorer", "fhir_mappings.codes imports model.scorer"),
        ("fhir_mappings.codes", "from hooks.site import Site", "fhir_mappings.codes imports hooks.site"),
        ("hooks.policy", "from cds.settings import Settings", "hooks.policy imports cds.settings"),
        ("hooks.policy", "import cds", "hooks.policy imports cds"),
        ("hooks.policy", "from ..cds import settings", "hooks.policy imports cds.settings"),
        ("hooks.policy", "from flask import request", "hooks.policy imports flask"),
        ("hooks.policy", "import requests", "hooks.policy imports requests"),
        ("hooks.policy", "from sqlmodel import Session", "hooks.policy imports sqlmodel"),
        ("hooks.policy", "import os", "hooks.policy imports os"),
        ("hooks.policy", "from urllib.request import urlopen", "hooks.policy imports urllib.request"),
        ("hooks.policy", "def f():\n    import torch", "hooks.policy imports torch"),
        ("hooks.policy", "if TYPE_CHECKING:\n    import torch", "hooks.policy imports torch"),
    ],
)
def test_a_planted_import_against_the_arrows_is_found(module: str, source: str, said: str) -> None:
    assert complaints(module, f'"""Planted."""\n{source}\n') == [said]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("fhir_mappings.codes", "from model import domain"),
        ("hooks.policy", "from fhir_mappings.chart import Chart\nfrom model.domain import Exam"),
        ("hooks.policy", "from . import cards\nfrom urllib.parse import urlsplit"),
        ("cds.web.app", "import flask, torch\nfrom model.scorer import Scorer"),
    ],
)
def test_an_import_along_the_arrows_is_not(module: str, source: str) -> None:
    assert complaints(module, source) == []


SETTINGS = """
database_url = "{database}"
model = "{model}"
service.answer_budget_s = 0
service.trust = "demo"

[[ehrs]]
name = "main"
fhir_server = "https://ehr.example"
mode = "research"
"""

ANSWERING = """
import json
import sys
from pathlib import Path
from cds.settings import read_settings
from cds.services import web_services
from cds.web.app import create_app

client = create_app(web_services(read_settings(Path(sys.argv[1])))).test_client()
assert client.get("/cds-services").status_code == 200
answer = client.post("/cds-services/breast-risk-order-select", json=json.loads(Path(sys.argv[2]).read_text()))
assert answer.status_code == 200, answer.text
assert answer.json["cards"], "a card was due"
heavy = {"torch", "safetensors", "cds.scoring.pipeline", "model.scorer"} & set(sys.modules)
assert not heavy, heavy
"""


def test_the_process_that_answers_hooks_never_loads_torch(tmp_path: Path) -> None:
    file, body = tmp_path / "mammotrend.toml", tmp_path / "call.json"
    database, folder = f"sqlite:///{tmp_path / 'x.sqlite'}", model_folder(tmp_path / "model")
    file.write_text(SETTINGS.format(database=database, model=folder))
    body.write_text(json.dumps(order_select(prefetch=prefetch("1.2.1"))))
    command = [sys.executable, "-c", ANSWERING, str(file), str(body)]

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)  # noqa: S603 - our own

    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("package", PURE)
def test_what_decides_loads_neither_torch_nor_the_web_nor_a_database(package: str) -> None:
    names = [name for name, _ in modules(package)]
    heavy = ("torch", "numpy", "flask", "requests", "sqlmodel", "sqlalchemy")
    check = f"import sys\nfor name in {names!r}: __import__(name)\nassert not {set(heavy)!r} & set(sys.modules)"

    ended = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, timeout=120)  # noqa: S603

    assert ended.returncode == 0, ended.stderr
