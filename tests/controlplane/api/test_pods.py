"""What is asked of pods: kube-behaviour 4.1, 10.1."""

from controlplane.api import pods
from controlplane.api.types.core_v1 import Pod, PodCondition, PodStatus
from controlplane.api.types.meta_v1 import ObjectMeta

NOW = 1_700_000_000.0
SINCE, LATER = "2023-11-14T22:13:20Z", "2023-11-14T22:13:21Z"


def pod(phase: str = "Running", *, ready: str = "True", deleted: str | None = None) -> Pod:
    return Pod(
        metadata=ObjectMeta(name="a", deletion_timestamp=deleted),
        status=PodStatus(phase=phase, conditions=(PodCondition(type="Ready", status=ready),)),
    )


def test_who_counts_as_active() -> None:
    assert pods.is_active(pod())
    assert pods.is_active(pod("Pending"))
    assert not pods.is_active(pod(deleted=SINCE))
    assert not pods.is_active(pod("Failed"))
    assert not pods.is_active(pod("Succeeded"))


def test_ready_is_what_its_condition_says() -> None:
    assert pods.is_ready(pod())
    assert not pods.is_ready(pod(ready="Unknown"))
    assert not pods.is_ready(Pod())


def test_the_time_of_a_condition_is_that_of_its_last_change_of_status() -> None:
    ready = PodCondition(type="Ready", status="True")
    first = pods.with_conditions((), [ready], NOW)
    assert [one.last_transition_time for one in first] == [SINCE]
    same = pods.with_conditions(
        first, [PodCondition(type="Ready", status="True", reason="x")], NOW + 1
    )
    assert [(one.reason, one.last_transition_time) for one in same] == [("x", SINCE)]
    other = pods.with_conditions(same, [PodCondition(type="Ready", status="False")], NOW + 1)
    assert [one.last_transition_time for one in other] == [LATER]
    both = pods.with_conditions(other, [PodCondition(type="Initialized", status="True")], NOW)
    assert [one.type for one in both] == ["Ready", "Initialized"]
