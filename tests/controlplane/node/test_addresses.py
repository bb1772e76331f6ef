"""Addresses of pods: never one twice at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.node.addresses import Addresses, NoAddressError

BLOCK = "10.1.0.0/28"
COUNT = 13  # without the network's own, a bridge's, and broadcast


def test_all_can_be_given_and_no_more() -> None:
    addresses = Addresses()
    given_ones = [addresses.take(f"u{number}", BLOCK, ()) for number in range(COUNT)]
    assert sorted(given_ones, key=lambda one: int(one.rpartition(".")[2])) == [
        f"10.1.0.{number}" for number in range(2, 15)
    ]
    with pytest.raises(NoAddressError, match=r"no address of 10\.1\.0\.0/28 is free"):
        addresses.take("one-more", BLOCK, ())


def test_owner_keeps_what_it_was_promised() -> None:
    addresses = Addresses()
    assert addresses.take("u", BLOCK, ()) == addresses.take("u", BLOCK, ())
    moved = addresses.take("u", "10.2.0.0/24", ())
    assert moved.startswith("10.2.0.")


def test_address_that_was_given_back_comes_last() -> None:
    addresses = Addresses()
    first = addresses.take("u", BLOCK, ())
    addresses.release("u")
    others = [addresses.take(f"v{number}", BLOCK, ()) for number in range(COUNT)]
    assert others[-1] == first


@pytest.mark.parametrize("block", ["", "no", "10.1.0.0/31", "10.1.0.7/32"])
def test_block_that_has_none(block: str) -> None:
    with pytest.raises(NoAddressError):
        Addresses().take("u", block, ())


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 15)), max_size=60))
def test_nobody_gets_what_another_has(steps: list[tuple[bool, int]]) -> None:
    """Also where the agent begins anew and knows only what the runtime tells."""
    addresses, held = Addresses(), dict[str, str]()
    for takes, number in steps:
        owner = f"u{number}"
        if not takes:
            held.pop(owner, None)
            addresses.release(owner)
        elif owner not in held:
            if number == 0:
                addresses = Addresses()
            try:
                found = addresses.take(owner, BLOCK, held.values())
            except NoAddressError:
                assert len(held) == COUNT
                continue
            assert found not in held.values()
            held[owner] = found
