"""How much of a process's limit listeners may have."""

import resource

import pytest

from controlplane.network import descriptors
from controlplane.network.descriptors import COUNT_MAX, RESERVED


@pytest.mark.parametrize(
    ("limit", "reserved", "left"),
    [
        (65_536, RESERVED, 65_024),
        (65_536, 4_032, 61_504),
        (4_096, 4_032, 1_024),  # a quarter at least
        (resource.RLIM_INFINITY, RESERVED, COUNT_MAX - RESERVED),
    ],
)
def test_what_is_reserved_is_left_to_others(
    limit: int, reserved: int, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limit, limit))
    found = descriptors.of_process(reserved)
    assert found.take(left)
    assert not found.take(1)
