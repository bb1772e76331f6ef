"""The ranges of which each node gets one. Numbers are rows of kube-behaviour.md."""

import ipaddress
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.pod_ranges import PodRanges


def test_parts_of_the_cluster() -> None:
    """6.5: a /24 for each node."""
    ranges = PodRanges("10.244.0.0/16", 24)
    assert len(ranges) == 256
    assert ranges[0] == "10.244.0.0/24"
    assert ranges[255] == "10.244.255.0/24"
    assert PodRanges("fd00:1::/48", 64)[1] == "fd00:1:0:1::/64"
    assert PodRanges("127.64.0.0/24", 24)[0] == "127.64.0.0/24"


@pytest.mark.parametrize(
    ("cluster", "mask_size"),
    [
        ("10.244.0.0/24", 16),
        ("10.0.0.0/8", 33),
        ("10.0.0.0/7", 24),
        ("10.0.0.1/16", 24),
        ("ten", 24),
        ("fd00::/32", 64),
    ],
)
def test_masks_that_do_not_fit(cluster: str, mask_size: int) -> None:
    """6.5: no part is larger than the whole, and there are 65,536 at most."""
    with pytest.raises(ValueError, match=r"."):
        PodRanges(cluster, mask_size)


def test_free_ones_come_around() -> None:
    """6.5."""
    ranges = PodRanges("10.244.0.0/22", 24)
    taken = {"10.244.3.0/24"}
    assert list(ranges.free(2, taken.__contains__)) == [2, 0, 1]
    assert list(islice(ranges.free(0, lambda part: False), 1)) == [0]


@given(
    base=st.integers(0, 255),
    prefix=st.integers(0, 32),
    mask_size=st.integers(20, 28),
)
def test_what_a_range_has_something_of(base: int, prefix: int, mask_size: int) -> None:
    """6.5: also one of another size, which somebody else gave a node."""
    ranges = PodRanges("10.244.0.0/20", mask_size)
    told = ipaddress.ip_network(f"10.244.{base}.128/{prefix}", strict=False)
    wanted = [
        ranges[number]
        for number in range(len(ranges))
        if ipaddress.ip_network(ranges[number]).overlaps(told)
    ]
    assert list(ranges.within(str(told))) == wanted


def test_what_is_no_range_of_ours() -> None:
    ranges = PodRanges("10.244.0.0/20", 24)
    assert list(ranges.within("fd00::/64")) == []
    assert list(ranges.within("nonsense")) == []
