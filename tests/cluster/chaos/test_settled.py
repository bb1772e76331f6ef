"""When a cluster has come to rest."""

from typing import Any

from cluster.chaos.settled import KINDS, late


def objects(**given: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {kind: given.get(kind, []) for kind in KINDS}


def deployment(available: int) -> dict[str, Any]:
    counts = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": available}
    return {
        "metadata": {"name": "a", "generation": 1},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": 1} | counts,
    }


def job(*ends: str) -> dict[str, Any]:
    conditions = [{"type": end, "status": "True"} for end in ends]
    return {"metadata": {"name": "b"}, "status": {"conditions": conditions}}


def test_it_has_when_all_is_rolled_out_and_ended() -> None:
    assert not list(late(objects()))
    assert not list(
        late(objects(Deployment=[deployment(2)], Job=[job("Complete"), job("Suspended", "Failed")]))
    )


def test_what_is_not_is_named() -> None:
    pod = {"metadata": {"name": "c", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert list(late(objects(Deployment=[deployment(1)], Job=[job("Suspended")], Pod=[pod]))) == [
        "deployment a is not rolled out",
        "job b has not ended",
        "pod c is still being deleted",
    ]
