"""etcdctl's `member` commands, against members that really join and leave."""

import re
import shutil

import pytest

from kvstore.testing.processes import ClusterProcesses
from tests.conformance.conftest import PATIENCE, StartCluster
from tests.conformance.membership import PASSING, ends, wait_until
from tests.conformance.test_etcdctl import Etcdctl

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("etcdctl") is None, reason="etcdctl is not installed"),
]
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def trio(start_cluster: StartCluster) -> ClusterProcesses:
    return start_cluster(members=3, flags=PATIENCE)


def patiently(ctl: Etcdctl, *words: str) -> list[str]:
    """Run a change again while the cluster is not ready for it."""
    lines: list[str] = []

    def is_done() -> bool:
        ended = ctl.run("member", *words)
        if ended.returncode == 0:
            lines.extend(ended.stdout.splitlines())
            return True
        assert any(text in ended.stderr for text in PASSING), ended.stderr
        return False

    wait_until(is_done, f"member {' '.join(words)}")
    return lines


def listed(ctl: Etcdctl) -> dict[str, list[str]]:
    """By name: ID, status, name, peer URLs, client URLs, is it a learner?"""
    rows = [line.split(", ") for line in ctl("member", "list")]
    return {row[2]: row for row in rows}


def test_a_learner_is_added_promoted_and_removed(trio: ClusterProcesses) -> None:
    ctl = Etcdctl(trio.endpoints)
    ctl("put", "before", "v")
    process = trio.new_member("m4")
    said = patiently(ctl, "add", "m4", f"--peer-urls={process.peer_url}", "--learner")
    match = re.fullmatch(r"Member +([0-9a-f]+) added to cluster +[0-9a-f]+", said[0])
    assert match, said
    member_id = match[1]
    assert 'ETCD_NAME="m4"' in said
    assert 'ETCD_INITIAL_CLUSTER_STATE="existing"' in said
    [unstarted] = [row for row in listed(ctl).values() if row[0] == member_id]
    assert unstarted == [member_id, "unstarted", "", process.peer_url, "", "true"]

    trio.join(process)
    wait_until(lambda: "m4" in listed(ctl), "m4 does not join")
    assert listed(ctl)["m4"][1] == "started"
    assert listed(ctl)["m4"][5] == "true"
    said = patiently(ctl, "promote", member_id)
    assert re.fullmatch(rf"Member +{member_id} promoted in cluster +[0-9a-f]+", said[0]), said
    wait_until(lambda: listed(ctl)["m4"][5] == "false", "still a learner")
    assert Etcdctl([process.endpoint])("get", "before", "--print-value-only") == ["v"]

    said = patiently(ctl, "remove", member_id)
    assert re.fullmatch(rf"Member +{member_id} removed from cluster +[0-9a-f]+", said[0]), said
    ends(process)
    assert "m4" not in listed(ctl)
    again = ctl.run("member", "remove", member_id)
    assert again.returncode != 0
    assert "member not found" in again.stderr


def test_an_update_moves_a_peer_url(trio: ClusterProcesses) -> None:
    ctl = Etcdctl(trio.endpoints)
    said = patiently(ctl, "add", "m4", f"--peer-urls={NOWHERE}")
    member_id = said[0].split()[1]
    another = ctl.run("member", "add", "m5", "--peer-urls=http://127.0.0.1:11")
    assert another.returncode != 0
    assert "unhealthy cluster" in another.stderr, "m4 has to start first"
    said = patiently(ctl, "update", member_id, "--peer-urls=http://127.0.0.1:10")
    assert re.fullmatch(rf"Member +{member_id} updated in cluster +[0-9a-f]+", said[0]), said
    [row] = [row for row in listed(ctl).values() if row[0] == member_id]
    assert row[3] == "http://127.0.0.1:10"
