"""Fixtures of the core's tests: every cluster is checked once more when its test is over."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings

from .cluster import Cluster

# Times of a machine that is busy say nothing about the core.
settings.register_profile("raft", deadline=None)
settings.load_profile("raft")


@pytest.fixture
def new_cluster() -> Iterator[Callable[..., Cluster]]:
    """Makes clusters; on teardown all their invariants must hold."""
    clusters: list[Cluster] = []

    def make(*args: Any, **kwargs: Any) -> Cluster:
        clusters.append(Cluster(*args, **kwargs))
        return clusters[-1]

    yield make
    for cluster in clusters:
        cluster.check()


@pytest.fixture
def cluster(new_cluster: Callable[..., Cluster]) -> Cluster:
    """Three members, no leader yet."""
    return new_cluster()
