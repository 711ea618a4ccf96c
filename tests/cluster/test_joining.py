"""What keeps a worker from a cluster is said at its start, in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import ray

from cds.errors import ClusterNotUsable, ClusterUnreachable
from cds.scoring.cluster import on_cluster
from cds.settings import ClusterSettings
from model.card import DEMO_MODEL, read_card
from tests.cds.builders import memory_store
from tests.cluster.nodes import node_settings
from tests.cluster.ray_cluster import RayCluster, ray_cluster
from tests.product import Product
from tests.servers import free_port

WITHOUT_RAY = "import sys; sys.modules['ray'] = None; from cds.cli import app; app()"
SETTINGS = """\
database_url = "sqlite:///site.sqlite"
[service]
trust = "demo"
[[ehrs]]
name = "main"
fhir_server = "http://127.0.0.1:9/fhir"
mode = "silent"
[[pacs]]
name = "main"
dicomweb_root = "http://127.0.0.1:9/dicom-web"
[scoring]
engine = "ray"
[cluster]
address = "{address}"
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """A cluster of which only the head runs."""
    with ray_cluster(nodes=0) as running:
        yield running


@pytest.fixture(autouse=True)
def _leave() -> Iterator[None]:
    yield
    ray.shutdown()


def join(address: str, model: str = "any") -> None:
    on_cluster(ClusterSettings(address=address), memory_store(), model, lambda: datetime.now(UTC))


@pytest.mark.parametrize("address", ["nowhere", "local", "127.0.0.1:", "ray://127.0.0.1:10001"])
def test_an_address_that_is_none_is_refused_and_no_cluster_is_started_for_it(address: str) -> None:
    with pytest.raises(ClusterUnreachable, match=rf"no Ray cluster can be joined at cluster.address = '{address}'"):
        join(address)
    assert not ray.is_initialized()


def test_where_no_cluster_runs_a_run_ends_with_one_line_that_says_how_to_start_one(tmp_path: Path) -> None:
    product, address = Product(tmp_path), f"127.0.0.1:{free_port()}"
    product.settings.write_text(SETTINGS.format(address=address))

    assert product.run("rescore") == 75
    (said,) = product.logs.values()
    assert said.splitlines()[-1].startswith(f"mammotrend: no Ray cluster can be joined at cluster.address = '{address}")
    assert "`ray start`" in said
    assert "Traceback" not in said


def test_without_ray_the_line_names_the_extra_to_install(tmp_path: Path) -> None:
    product = Product(tmp_path, program=("-c", WITHOUT_RAY))
    product.settings.write_text(SETTINGS.format(address="auto"))

    assert product.run("rescore") == 2
    (said,) = product.logs.values()
    assert "scoring.engine = 'ray' needs the extra `cluster` (ray is not installed)" in said
    assert "pip install 'mammotrend[cluster]'" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_cluster_without_cores_is_refused(cluster: RayCluster) -> None:
    with pytest.raises(ClusterNotUsable, match="no node with cores"):
        join(cluster.address)


@pytest.mark.slow
def test_a_node_without_a_settings_file_is_told_with_the_variable_that_names_one(
    cluster: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAMMOTREND_CONFIG", raising=False)
    cluster.add_node()

    with pytest.raises(ClusterNotUsable, match="cannot work: MAMMOTREND_CONFIG was not set where `ray start`"):
        join(cluster.address)
    cluster.end_node()


@pytest.mark.slow
def test_a_node_with_another_model_is_told(
    cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAMMOTREND_CONFIG", str(node_settings(tmp_path, "http://127.0.0.1:9/dicom-web")))
    cluster.add_node()

    with pytest.raises(ClusterNotUsable, match="its settings name another model than the worker's"):
        join(cluster.address, read_card(DEMO_MODEL).version.key)
    cluster.end_node()
