"""What the story says; that it is true is test_control_plane.py's."""

from cluster.demo import report
from cluster.demo.manifests import REPLICAS, deployment
from cluster.demo.story import QUIET_STEPS, Told, faults_of


def test_a_request_that_is_lost_in_an_update_is_a_fault_and_one_in_a_crash_is_none() -> None:
    told = [
        Told("roll back", 1.0, 100, 2, why="reset, refused"),
        Told("kill apiserver", 1.0, 100, 3),
    ]
    lost = "2 of 100 requests failed while we did: roll back: reset, refused"
    assert faults_of(told) == [lost]
    assert faults_of([Told(name, 1.0, 100, 0) for name in QUIET_STEPS]) == []


def test_a_row_tells_what_was_done_and_how_long_it_took_to_heal() -> None:
    row = report.line(Told("drain a node", 1.234, 1200, 0, "n2"))
    assert row.split() == ["drain", "a", "node", "1.23", "s", "1,200", "0", "n2"]
    assert report.line(Told("deploy 3 replicas", 2.0, 0, 0)).split()[-2:] == ["-", "-"]
    assert report.ending(["a"]) == "a"


def test_the_update_never_has_fewer_servers_than_before() -> None:
    spec = deployment("v2")["spec"]
    assert spec["replicas"] == REPLICAS
    assert spec["strategy"] == {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
