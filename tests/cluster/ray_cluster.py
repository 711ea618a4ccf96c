"""A Ray cluster on this machine: a head that computes nothing, and nodes that do, in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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

    def add_node(self, cores: int = 2) -> None:
        """One more node, with the environment that this process has now."""
        self._nodes.append(self._cluster.add_node(num_cpus=cores, num_gpus=0, object_store_memory=MEMORY))

    def kill_node(self) -> None:
        """One node less, without a word."""
        self._cluster.remove_node(self._nodes.pop(), allow_graceful=False)

    def end(self) -> None:
        """All of its processes are gone after it."""
        ray.shutdown()
        self._cluster.shutdown()


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
