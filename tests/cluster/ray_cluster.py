"""A Ray cluster on this machine: a head that computes nothing, and nodes that do, in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

MEMORY = 256 << 20
"""Of the objects of each node, in bytes."""


class RayCluster:
    """What a test does with the cluster."""

    def __init__(self) -> None:
        self._cluster: Any = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "num_gpus": 0, "object_store_memory": MEMORY}
        )
        self._nodes: list[Any] = []

    @property
    def address(self) -> str:
        """Where it is joined."""
        return str(self._cluster.address)

    @property
    def logs(self) -> Path:
        """Where the processes of all nodes write."""
        return Path(self._cluster.head_node.get_logs_dir_path())

    def add_node(self, cores: int = 2) -> str:
        """One more node, with the environment that this process has now; its id."""
        self._nodes.append(self._cluster.add_node(num_cpus=cores, num_gpus=0, object_store_memory=MEMORY))
        return str(self._nodes[-1].node_id)

    def end_node(self) -> None:
        """The last node less, in good order."""
        self._cluster.remove_node(self._nodes.pop(), allow_graceful=True)

    def kill_node(self) -> None:
        """The last node less, without a word."""
        self._cluster.remove_node(self._nodes.pop(), allow_graceful=False)

    def at_work(self, name: str) -> list[int]:
        """The processes of the nodes that are at a function or an object of this name."""
        raylets = {node.all_processes["raylet"][0].process.pid for node in self._nodes}
        return [pid for pid, parent, title in _processes() if parent in raylets and title.startswith(f"ray::{name}")]

    def end(self) -> None:
        """All of its processes are gone after it."""
        ray.shutdown()
        self._cluster.shutdown()


def _processes() -> Iterator[tuple[int, int, str]]:
    """Every process of this machine: its id, its parent's, and what it calls itself."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state, title = (process / "stat").read_text(), (process / "cmdline").read_text()
        except OSError:
            continue  # it has ended meanwhile
        yield int(process.name), int(state.rpartition(")")[2].split()[1]), title


@contextmanager
def ray_cluster(nodes: int) -> Iterator[RayCluster]:
    """A cluster of so many nodes that compute."""
    cluster = RayCluster()
    try:
        for _ in range(nodes):
            cluster.add_node()
        yield cluster
    finally:
        cluster.end()
