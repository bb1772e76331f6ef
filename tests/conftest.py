"""Options of the suites (pytest reads them only here, whatever part is run)."""

import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.groups import Groups, rank_of

# A crowded machine is no fault of the code: no example is judged by its time.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def _is_of_this_test(record: logging.LogRecord) -> bool:
    """grpcio has one poller a process: what it hands to the loop of a test that is over, the
    loop of the running test logs, and no test that counts its log lines is to count them."""
    return "PollerCompletionQueue" not in record.getMessage()


logging.getLogger("asyncio").addFilter(_is_of_this_test)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-traces", action="store_true", help="record what the core's traces say"
    )
    parser.addoption("--rewrite-coverage", action="store_true", help="write COVERAGE.md anew")
    parser.addoption(
        "--all-pairs", action="store_true", help="kubectl: every version on every store"
    )
    parser.addoption(
        "--target", choices=["etcd", "keelson"], help="only this store is tested, or used"
    )
    parser.addoption(
        "--fuzz-requests", type=int, default=1_500, help="API server: how many random requests"
    )
    parser.addoption("--fuzz-seed", type=int, default=1, help="API server: which random requests")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    config.option.loadscopereorder = False  # by the number of tests, which says little
    return Groups(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank_of(item.nodeid))
