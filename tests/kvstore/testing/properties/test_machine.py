"""Rule-based machines hold for the store as it is, and find what is broken in it or above it."""

import asyncio

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from examples import counter
from kvstore.errors import UnavailableError
from kvstore.mvcc import txn
from kvstore.raft import read_index
from kvstore.raft.state import RaftState
from kvstore.raft.types import ReadState
from kvstore.testing import properties as kv

SEARCH = settings(
    deadline=None,
    database=None,
    derandomize=True,
    max_examples=200,
    stateful_step_count=20,
    phases=[Phase.generate],
)
FEW = settings(SEARCH, max_examples=8)


def check(machine: type[RuleBasedStateMachine], how: settings) -> None:
    run_state_machine_as_test(machine, settings=how)


class Counter(kv.ClusterMachine):
    """An application of a user: rules of its own beside the faults."""

    increment_once = staticmethod(counter.increment)

    async def started(self) -> None:
        self.clients = [self.cluster.connect() for _ in range(2)]
        self.calls: list[asyncio.Task[None]] = []

    @rule()
    def increment(self) -> None:
        self.run(self._begin)

    async def _begin(self) -> None:
        client = self.clients[len(self.calls) % 2]
        self.calls.append(asyncio.ensure_future(self.increment_once(client, "visits")))

    async def healed(self) -> None:
        outcomes = await asyncio.gather(*self.calls, return_exceptions=True)
        unknown = sum(isinstance(outcome, UnavailableError) for outcome in outcomes)
        sure = outcomes.count(None)
        assert sure + unknown == len(outcomes)
        assert sure <= await counter.count(self.clients[0], "visits") <= len(outcomes)


class BlindCounter(Counter):
    increment_once = staticmethod(counter.increment_blindly)


def test_the_store_is_linearizable_under_any_rules() -> None:
    check(kv.StoreMachine, FEW)


def test_a_compare_that_always_holds_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(txn, "_holds", lambda *_: True)
    with pytest.raises(kv.ViolationError, match="not linearizable"):
        check(kv.StoreMachine, SEARCH)


def test_a_stale_read_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member that reads without asking the leader, behind a cut."""

    def at_once(state: RaftState, _: int, context: int) -> bool:
        state.reads.append(ReadState(context, state.log.applied))
        return True

    def write_and_read(machine: kv.StoreMachine) -> None:
        machine.start(kv.Topology(seed=_seed_with_readers_apart()))
        machine.cut(_reader_of(machine, 1))
        machine.put(0, b"a", b"1", is_awaited=True)
        machine.get(1, b"a", is_awaited=True)
        machine.teardown()

    write_and_read(kv.StoreMachine())
    monkeypatch.setattr(read_index, "read_index", at_once)
    with pytest.raises(kv.ViolationError, match="not linearizable"):
        write_and_read(kv.StoreMachine())


def _reader_of(machine: kv.StoreMachine, client: int) -> int:
    """The position of the member that a client asks first."""
    ids = [f"{member.member_id:x}" for member in machine.cluster.simulated.members]
    return ids.index(machine.clients[client].endpoints[0])


def _seed_with_readers_apart() -> int:
    """Of a cluster whose client 0 asks the leader first, and client 1 somebody else."""
    for seed in range(50):
        machine = kv.StoreMachine()
        machine.start(kv.Topology(seed=seed))
        leader = machine.cluster.simulated.leader()
        assert leader is not None
        position = machine.cluster.simulated.members.index(leader)
        readers = [_reader_of(machine, client) for client in (0, 1)]
        machine.teardown()
        if readers[0] == position != readers[1]:
            return seed
    raise AssertionError("no seed of fifty")


def test_an_application_that_is_right_passes() -> None:
    check(Counter, FEW)


def test_an_application_that_is_wrong_is_found() -> None:
    with pytest.raises(AssertionError):
        check(BlindCounter, SEARCH)


def test_what_a_rule_finds_is_not_hidden_by_what_comes_after() -> None:
    class Finding(kv.ClusterMachine):
        @rule()
        def find(self) -> None:
            self.advance(0.1)
            raise ArithmeticError("mine")

        async def healed(self) -> None:
            raise AssertionError("what follows from it")

    with pytest.raises(ArithmeticError, match="mine"):
        check(Finding, settings(SEARCH, max_examples=20))


def test_what_is_wrong_in_the_end_is_found() -> None:
    class Finding(kv.ClusterMachine):
        async def healed(self) -> None:
            assert all(member.is_alive for member in self.cluster.simulated.members)
            raise ArithmeticError("mine")

    with pytest.raises(ArithmeticError, match="mine"):
        check(Finding, settings(SEARCH, max_examples=1))


def test_rules_do_what_they_are_named_after() -> None:
    machine = kv.ClusterMachine()
    machine.start(kv.Topology())
    members = machine.cluster.simulated.members

    def alive() -> list[bool]:
        return [member.is_alive for member in members]

    machine.crash(0)
    assert alive() == [False, True, True]
    machine.restart(0)
    assert alive() == [True, True, True]
    machine.disturb(kv.PowerCut())
    assert alive() == [False, False, False]
    machine.restart(1)
    machine.cut(1)
    before = machine.cluster.simulated.leader_changes[:]
    machine.heal()
    assert alive() == [True, True, True]
    machine.advance(5.0)
    assert len(machine.cluster.simulated.leader_changes) > len(before)
    machine.keeps_its_promises()
    machine.teardown()


def test_a_rule_that_a_subclass_does_not_want_is_taken_out() -> None:
    class Calm(kv.ClusterMachine):
        crash = cut = disturb = None  # type: ignore[assignment]

        async def healed(self) -> None:
            assert not self.cluster.simulated.crashes
            assert len(self.cluster.simulated.leader_changes) == 1

    check(Calm, settings(SEARCH, max_examples=30))


def test_no_time_passes_between_rules() -> None:
    machine = kv.StoreMachine()
    machine.start(kv.Topology())

    async def now() -> float:
        return machine.cluster.now

    before = machine.run(now)
    machine.put(0, b"a", b"1", is_awaited=False)
    assert machine.run(now) == before
    assert not machine.history.operations[0].completed
    machine.put(0, b"a", b"2", is_awaited=True)
    assert machine.run(now) > before
    assert all(operation.completed for operation in machine.history.operations)
    machine.teardown()


def test_before_the_start_there_is_no_cluster() -> None:
    machine = kv.ClusterMachine()
    with pytest.raises(AssertionError, match="use `started`"):
        machine.advance(1.0)
    machine.teardown()
