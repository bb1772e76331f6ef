"""How long who needs to heal, by what was seen of the cluster."""

from typing import Any

import pytest

from cluster.chaos import report
from cluster.chaos.wounds import PROCESS, SHIM, ZYGOTE, Seen, Wound, Wounds, is_pod_healed

LEASES = {"scheduler": "kube-scheduler"}


def seen(
    rows: dict[str, dict[str, Any]] | None = None,
    renewals: dict[str, float] | None = None,
    pods: dict[str, dict[str, Any]] | None = None,
    zygotes: dict[str, int] | None = None,
) -> Seen:
    return Seen(rows or {}, renewals or {}, pods or {}, zygotes or {})


def healthy(pid: int) -> dict[str, Any]:
    return {"state": "healthy", "pid": pid}


def pod(container: str, **status: object) -> dict[str, Any]:
    told = {"containerID": f"process://{container}", "state": {"running": {}}}
    return {"metadata": {}, "status": {"phase": "Running", "containerStatuses": [told]} | status}


def test_a_component_has_healed_when_another_process_of_it_is_healthy() -> None:
    wounds = Wounds(LEASES)
    wounds.add(Wound("m1", "m1", 10.0, 1))
    for row in (healthy(1), {"state": "running", "pid": 2}, {}):
        wounds.look(seen({"m1": row}), 11.0)
        assert wounds.told() == ["m1 (m1) has not healed"]
    wounds.look(seen({"m1": healthy(2)}), 12.5)
    assert wounds.told() == []
    assert wounds.longest == {"m1": 2.5}


def test_who_holds_a_lease_must_have_renewed_it_since() -> None:
    """The Lease of the one that was killed goes on for a while: it proves nothing."""
    wounds = Wounds(LEASES)
    wounds.add(Wound("scheduler", "scheduler", 10.0, 1))
    rows = {"scheduler": healthy(2)}
    wounds.look(seen(rows, {"kube-scheduler": 9.0}), 11.0)
    assert wounds.open
    wounds.look(seen(rows, {"kube-scheduler": 11.5}), 12.0)
    assert not wounds.open


def test_who_is_killed_again_heals_from_the_first_time_on() -> None:
    wounds = Wounds(LEASES)
    wounds.add(Wound("m1", "m1", 10.0, 1))
    wounds.add(Wound("m1", "m1", 14.0, 2))
    wounds.look(seen({"m1": healthy(2)}), 15.0)
    assert wounds.open
    wounds.look(seen({"m1": healthy(3)}), 16.0)
    assert wounds.longest == {"m1": 6.0}
    assert wounds.kills == {"m1": 2}


@pytest.mark.parametrize(
    ("found", "is_healed"),
    [
        (None, True),
        (pod("new"), True),
        (pod("old"), False),
        (pod("old", phase="Failed"), True),
        (pod("new", containerStatuses=[]), False),
        (pod("new", containerStatuses=[{"state": {"waiting": {}}}]), False),
        ({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, True),
    ],
)
def test_a_pod_has_healed_when_others_run_or_it_is_over(
    found: dict[str, Any] | None, *, is_healed: bool
) -> None:
    assert is_pod_healed(found, {"old"}) is is_healed
    wounds = Wounds(LEASES)
    wounds.add(Wound(SHIM, "uid", 1.0, 1, frozenset({"old"})))
    wounds.look(seen(pods={} if found is None else {"uid": found}), 2.0)
    assert bool(wounds.open) is not is_healed


def test_a_zygote_has_healed_when_there_is_another() -> None:
    wounds = Wounds(LEASES)
    wounds.add(Wound(ZYGOTE, "n1", 1.0, 7))
    wounds.look(seen(zygotes={"n1": 7}), 2.0)
    wounds.look(seen(zygotes={"n2": 8}), 3.0)
    assert wounds.open
    wounds.look(seen(zygotes={"n1": 9}), 4.0)
    assert wounds.longest == {ZYGOTE: 3.0}


def test_the_table_has_a_row_for_each_with_what_it_counted() -> None:
    wounds = Wounds(LEASES)
    wounds.add(Wound(PROCESS, "uid", 1.0, 1))
    wounds.look(seen(), 2.24)
    rows = [line.split() for line in report.table(["m1", PROCESS], wounds).splitlines()]
    assert rows[1:] == [["m1", "0", "-"], ["a", "pod's", "process", "1", "1.2", "s"]]
    assert report.counts(210, 1500, 30, 10.04) == (
        "210 kills in 10.0 minutes, while 1,500 pods and 30 jobs ran"
    )
    assert report.audit("/a folder") == "scripts/audit '/a folder'"
