"""Which tests stay in one process when several run side by side (`pytest -n`).

Each process starts for itself what its tests share: a cluster, an API server, members of a store.
The tests of a group share one, and go one after another; all others go to whichever is free.

pytest-xdist's own mark `xdist_group` does nothing here: 3.8 hands it on as a part of a test's id,
which pytest 9 lets nobody change.
"""

import re

from xdist.scheduler import LoadScopeScheduling

GROUPS = tuple(
    re.compile(pattern)
    for pattern in (
        # A cluster with pods for each file, and one at a time is enough for a machine.
        r"tests/e2e/running/",
        r"tests/controlplane/ctl/test_main\.py",
        # An API server for each kubectl; were it one for all, all would wait for the last of them.
        r"(tests/e2e/kubectl/)test_scripts\.py::.*(-[a-z0-9.]+-(?:etcd|keelson))\]$",
        r"tests/e2e/ui/",
        # A cluster that is down gives its ports back: another one would take them.
        r"tests/cluster/",
        # They cut the power, fill disks and let clocks jump.
        r"tests/robustness/",
        # The members of each target.
        r"(tests/conformance/).*[\[-](etcd|keelson)[\]-]",
    )
)
"""By the ids of their tests; what a pattern captures tells its groups apart. The longest first."""


def group_of(test: str) -> str:
    """The group of the test with this id; the id itself: it has none."""
    for pattern in GROUPS:
        if match := pattern.match(test):
            return "".join(match.groups()) or match[0]
    return test


def rank_of(test: str) -> int:
    """Less: sooner. What is short and alone fills the gaps at the end."""
    return next((rank for rank, one in enumerate(GROUPS) if one.match(test)), len(GROUPS))


class Groups(LoadScopeScheduling):  # type: ignore[misc]  # it comes without types
    """Hands out whole groups, in the order of their first tests."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
