"""Random operations to etcd and to our member; 10,000 of them by
`python -m tests.conformance.differential`."""

import pytest

from tests.conformance.conftest import PROGRAMS, why_not_runnable
from tests.conformance.differential import Setting, differential
from tests.conformance.operations import Generator

SEED = 20
OPERATIONS = 1_500
KIND_SHARE_MIN = 0.03
REFUSED_SHARE_MIN = 0.10


def test_the_same_seed_gives_the_same_operations() -> None:
    pairs = zip(Generator(5), Generator(5), strict=False)
    assert all(first == second for first, second in (next(pairs) for _ in range(500)))


@pytest.mark.slow
def test_random_operations_have_the_same_outcome_on_both_systems() -> None:
    for name in PROGRAMS:
        reason = why_not_runnable(name)
        if reason is not None:
            pytest.skip(reason)
    mix, events, report = differential(SEED, OPERATIONS, Setting())
    print(mix.table())  # noqa: T201 - shown with -s, and when the test fails
    assert report is None, report
    assert {kind for kind in Generator(SEED).kinds if mix.share(kind) < KIND_SHARE_MIN} == set()
    assert mix.refused_share >= REFUSED_SHARE_MIN
    assert events > OPERATIONS / 2
