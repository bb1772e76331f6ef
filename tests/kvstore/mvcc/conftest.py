"""A store with two leases."""

import pytest

from kvstore.lease import Lessor
from kvstore.mvcc.store import Store

from .steps import LEASE, OTHER_LEASE


@pytest.fixture
def lessor() -> Lessor:
    lessor = Lessor()
    lessor.grant(LEASE, 60)
    lessor.grant(OTHER_LEASE, 60)
    return lessor


@pytest.fixture
def store(lessor: Lessor) -> Store:
    return Store(lessor)
