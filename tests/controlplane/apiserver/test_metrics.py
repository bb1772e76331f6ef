"""What is counted (kube-behaviour 2.22)."""

import re

import pytest

from controlplane.apiserver.incoming import Query, Target, target_of
from controlplane.apiserver.metrics import Metrics


def target(path: str, method: str = "GET") -> Target:
    found = target_of(method, path, Query(""))
    assert found is not None
    return found


def lines(metrics: Metrics) -> list[str]:
    return metrics.text().decode().splitlines()


def test_requests_are_counted_by_verb_resource_and_code() -> None:
    metrics = Metrics()
    for code in (200, 200, 404):
        metrics.observe("GET", target("/api/v1/namespaces/a/pods/x"), code, 0.02)
    metrics.observe("GET", target("/apis/apps/v1/deployments"), 200, 0.02)
    labels = 'verb="GET",group="",version="v1",resource="pods",scope="resource"'
    found = lines(metrics)
    assert f'apiserver_request_total{{{labels},code="200"}} 2' in found
    assert f'apiserver_request_total{{{labels},code="404"}} 1' in found
    assert any('verb="LIST",group="apps"' in line and 'scope="cluster"' in line for line in found)


def test_buckets_add_up() -> None:
    metrics = Metrics()
    for seconds in (0.001, 0.005, 0.3, 99.0):
        metrics.observe("GET", target("/api/v1/pods"), 200, seconds)
    counts = {
        found[1]: int(found[2])
        for line in lines(metrics)
        if (found := re.match(r'.*_bucket{.*le="(.*)"} (\d+)', line))
    }
    assert (counts["0.005"], counts["0.25"], counts["0.5"], counts["60.0"]) == (2, 2, 3, 3)
    assert counts["+Inf"] == 4
    assert any(line.endswith("99.306000") for line in lines(metrics))
    assert any("_count{" in line and line.endswith(" 4") for line in lines(metrics))


@pytest.mark.parametrize("code", [200, 400, 401, 404, 500])
def test_nobody_makes_rows_by_asking_for_what_is_not_there(code: int) -> None:
    metrics = Metrics()
    for number in range(50):
        metrics.observe(f"BREW{number}", None, code, 0.1)
        metrics.observe("GET", None, code, 0.1)
    totals = [line for line in lines(metrics) if line.startswith("apiserver_request_total{")]
    assert len(totals) == 2


def test_each_line_is_one_that_prometheus_reads() -> None:
    metrics = Metrics()
    metrics.observe("GET", target("/api/v1/pods"), 200, 0.1)
    for line in lines(metrics):
        assert re.fullmatch(r'# (HELP|TYPE) \w+ .+|\w+\{(\w+="[^"\n]*",?)+\} [\d.]+', line), line
