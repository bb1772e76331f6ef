"""Who is at which level, and what levels leave each other (kube-behaviour 2.23, 11.9)."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.errors import ApiError
from controlplane.apiserver import flow_control
from controlplane.apiserver.flow_control import READS_MAX, WRITES_MAX, FlowControl
from controlplane.apiserver.priority import LEVELS, level_of
from controlplane.apiserver.rbac import Attributes
from controlplane.apiserver.users import User, anonymous, authenticated, service_account
from tests.controlplane.apiserver.asked import MASTER, turns
from tests.controlplane.apiserver.test_flow_control import Requests

NODE = authenticated(User(name="system:node:n1", groups=("system:nodes",)))
POD = authenticated(service_account("shop", "app", "1"))
ADDON = authenticated(service_account("kube-system", "dns", "2"))
MANAGER = authenticated(User(name="system:kube-controller-manager"))
ALICE = authenticated(User(name="alice"))


def get(resource: str, group: str = "", namespace: str = "") -> Attributes:
    return Attributes(verb="get", group=group, resource=resource, namespace=namespace)


LEASE = get("leases", "coordination.k8s.io", "kube-system")


@pytest.mark.parametrize(
    ("user", "asked", "level"),
    [
        (MASTER, get("pods"), "exempt"),
        (anonymous(), Attributes(verb="get", path="/livez"), "exempt"),
        (anonymous(), Attributes(verb="get", path="/readyz/etcd"), "exempt"),
        (anonymous(), Attributes(verb="get", path="/livezz"), "global-default"),
        (anonymous(), Attributes(verb="get", path="/version"), "global-default"),
        (ALICE, get("pods"), "global-default"),
        (User(name="unheard-of"), get("pods"), "catch-all"),
        (POD, get("pods"), "workload-low"),
        (POD, get("leases", "coordination.k8s.io", "shop"), "workload-low"),
        (POD, LEASE, "workload-low"),
        (ADDON, get("pods"), "workload-high"),
        (ADDON, LEASE, "leader-election"),
        (MANAGER, LEASE, "leader-election"),
        (ADDON, get("leases", "coordination.k8s.io", "shop"), "leader-election"),
        (MANAGER, get("leases", "coordination.k8s.io", "shop"), "leader-election"),
        (MANAGER, get("pods"), "workload-high"),
        (NODE, get("pods"), "system"),
        (NODE, get("nodes/status"), "node-high"),
        (NODE, LEASE, "node-high"),
    ],
)
def test_the_first_schema_that_matches_decides(user: User, asked: Attributes, level: str) -> None:
    """11.9. The suggested flow schemas of Kubernetes."""
    assert level_of(user, asked).name == level


def test_levels_have_the_shares_of_kubernetes() -> None:
    """11.9, and 2.23: 400 reads and 200 writes in flight, 600 in total."""
    assert {level.name: level.shares for level in LEVELS} == {
        "system": 30,
        "node-high": 40,
        "leader-election": 10,
        "workload-high": 40,
        "workload-low": 100,
        "global-default": 20,
        "catch-all": 5,
    }
    assert (READS_MAX, WRITES_MAX) == (400, 200)


async def test_400_reads_and_200_writes_are_handled_at_once() -> None:
    """2.23. However they are spread over the levels, if all of them want more than their share."""
    requests = Requests(FlowControl())
    users = (NODE, POD, ADDON, MANAGER, ALICE, anonymous(), User(name="unheard-of"))
    for number in range(60):
        for who in users:
            for verb in ("get", "create"):
                lease = Attributes(verb=verb, group=LEASE.group, resource="leases")
                pods = Attributes(verb=verb, resource="pods")
                await requests.begin(f"{verb} pods {who.name}", number, who=who, asked=pods)
                await requests.begin(f"{verb} lease {who.name}", number, who=who, asked=lease)
    begun = [name.split()[0] for name in requests.begun]
    assert (begun.count("get"), begun.count("create")) == (400, 200)
    await requests.finish()


async def test_who_floods_leaves_to_others_what_is_never_lent() -> None:
    """11.9. Pods take all that is free, and nodes and elections have theirs still."""
    flow = FlowControl(reads=400, writes=0)
    requests = Requests(flow)
    for number in range(400):
        await requests.begin(f"flood{number % 20}", number, who=POD)
    of_pods = len(requests.begun)
    assert 164 < of_pods < 400, "more than its own share, less than all"
    for name, who, asked, seats in (
        ("node", NODE, get("nodes"), 48),
        ("lease", ADDON, LEASE, 16),
        ("manager", MANAGER, get("pods"), 32),
    ):
        for number in range(seats):
            begun = await requests.begin(name, number, who=who, asked=asked)
            assert begun in requests.begun, (name, number)
    await requests.finish()


async def test_seats_that_come_free_go_to_who_has_least_of_his_own() -> None:
    flow = FlowControl(reads=20, writes=0)
    requests = Requests(flow)
    for number in range(30):
        await requests.begin(f"pod{number % 3}", number, who=POD)
    for number in range(6):
        await requests.begin("node", number, who=NODE)
    had = {name for name in requests.begun if name.startswith("node")}
    for name in [one for one in requests.begun if one.startswith("pod")][:4]:
        await requests.end(name)
    has = {name for name in requests.begun if name.startswith("node")}
    assert len(has) > len(had), "nodes are below their share, pods far above"
    await requests.finish()


@given(st.data())
def test_no_seat_is_lost_and_none_is_given_twice(data: st.DataObject) -> None:
    """Whatever comes and goes: never more than there are, and all of them come back."""
    users = [NODE, POD, ADDON, MANAGER, ALICE, anonymous()]

    async def run() -> None:
        flow = FlowControl(reads=12, writes=0)
        requests = Requests(flow)
        for number in range(data.draw(st.integers(1, 60))):
            match data.draw(st.sampled_from(("begin", "begin", "end", "cancel"))):
                case "begin":
                    who = data.draw(st.sampled_from(users))
                    await requests.begin(who.name, number, who=who)
                case "end" if requests.open:
                    await requests.end(data.draw(st.sampled_from(sorted(requests.open))))
                case "cancel" if requests.open:
                    await requests.cancel(data.draw(st.sampled_from(sorted(requests.open))))
            used = sum(flow.readings(waiting=False).values())
            waiting = sum(flow.readings(waiting=True).values())
            assert used <= 12
            assert used + waiting == len(requests.open)
        await requests.finish()
        await turns()
        assert sum(flow.readings(waiting=False).values()) == 0
        assert sum(flow.readings(waiting=True).values()) == 0
        again = Requests(flow)
        for number in range(12):
            await again.begin("x", number, who=POD)
        assert len(again.begun) > 0
        await again.finish()

    asyncio.run(run())


async def test_all_users_of_a_level_together_may_not_wait_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """11.9: a level's queues are full for everybody; each has 50, as APF's queues."""
    assert flow_control.WAITING_MAX == 50
    monkeypatch.setattr(flow_control, "LEVEL_WAITING_MAX", 3)
    requests = Requests(FlowControl(reads=1, writes=0))
    for number in range(4):
        await requests.begin(f"user{number}", who=authenticated(User(name=f"user{number}")))
    name = await requests.begin("late", who=authenticated(User(name="late")))
    with pytest.raises(ApiError) as caught:
        await requests.tasks[name]
    assert (caught.value.code, caught.value.retry_after_seconds) == (429, 1)
    other = await requests.begin("node", who=NODE)
    assert not requests.tasks[other].done(), "another level has queues of its own"
    await requests.finish()
