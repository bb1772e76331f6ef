"""The examples find the bugs planted in their applications, and none in those that are right."""

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from examples import counter, lock, test_counter, test_lock
from kvstore.testing import properties as kv

ROOT = Path(__file__).parents[4]
README = ROOT / "README.md"
CODE_LINES_MAX = 20
# The same search each time; what it finds is shrunk by those who need it small.
SEARCH = settings(
    deadline=None, database=None, derandomize=True, max_examples=400, phases=[Phase.generate]
)
FEW = settings(SEARCH, max_examples=40)
NO_FAULTS: st.SearchStrategy[kv.Schedule] = st.just(())
# Of all that the examples draw, what finds their bugs soonest.
CRASHES = kv.fault_schedules(kv.faults(kv.Crash, kv.PowerCut), within_seconds=0.2)
POWER_CUTS = kv.fault_schedules(
    kv.faults(kv.PowerCut), faults_max=2, within_seconds=1.0, for_seconds_max=15.0
)

Property = Callable[[kv.Topology, kv.Schedule], None]
counts_once: Property = test_counter.test_every_increment_counts_once.hypothesis.inner_test  # type: ignore[attr-defined]
loses_nothing: Property = test_lock.test_no_deposit_is_lost.hypothesis.inner_test  # type: ignore[attr-defined]


def search(holds: Property, how: settings, faults: st.SearchStrategy[kv.Schedule]) -> None:
    how(given(topology=kv.topologies(), faults=faults)(holds))()


def blocks_of_readme() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_readme_shows_the_example_as_it_is() -> None:
    assert (ROOT / "examples/test_counter.py").read_text() in blocks_of_readme()


def test_readme_shows_what_the_example_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever changes the simulation's dice changes this: run the example, and show it anew."""
    (shown,) = re.findall(r"```\nassert .*?(Failing .*?)```", README.read_text(), re.DOTALL)
    topology, faults = arguments_of(shown)
    counts_once(topology, faults)
    monkeypatch.setattr(test_counter, "increment", counter.increment_stubbornly)
    with pytest.raises(AssertionError):
        counts_once(topology, faults)


def test_the_example_is_as_short_as_promised() -> None:
    text = (ROOT / "examples/test_counter.py").read_text()
    assert ast.parse(text)
    assert len([line for line in text.splitlines() if line.strip()]) <= CODE_LINES_MAX


def test_a_lost_update_is_found_without_any_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_counter, "increment", counter.increment_blindly)
    with pytest.raises(AssertionError):
        search(counts_once, SEARCH, NO_FAULTS)


def test_a_repeated_write_is_found_and_only_under_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_counter, "increment", counter.increment_stubbornly)
    search(counts_once, FEW, NO_FAULTS)
    with pytest.raises(AssertionError) as found:
        search(counts_once, SEARCH, CRASHES)
    assert "Episode(" in printed(found.value), "a fault brought it about"


def test_what_is_printed_repeats_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_counter, "increment", counter.increment_stubbornly)
    with pytest.raises(AssertionError) as found:
        search(counts_once, SEARCH, CRASHES)
    topology, faults = arguments_of(printed(found.value))
    with pytest.raises(AssertionError):
        counts_once(topology, faults)
    monkeypatch.setattr(test_counter, "increment", counter.increment)
    counts_once(topology, faults)


def test_a_counter_that_compares_counts_once() -> None:
    search(counts_once, FEW, kv.fault_schedules())


def test_a_lock_that_is_trusted_is_found_and_only_under_faults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(test_lock, "deposit", lock.deposit_trustingly)
    search(loses_nothing, settings(FEW, max_examples=10), NO_FAULTS)
    with pytest.raises(AssertionError):
        search(loses_nothing, SEARCH, POWER_CUTS)


def test_a_write_that_asks_for_its_lock_loses_nothing() -> None:
    search(loses_nothing, settings(FEW, max_examples=20), POWER_CUTS)


def printed(failure: BaseException) -> str:
    """The test case as hypothesis prints it."""
    (text, *_) = [note for note in failure.__notes__ if "test case" in note or "example" in note]
    return text


def arguments_of(text: str) -> tuple[kv.Topology, kv.Schedule]:
    """What a printed test case calls the property with."""
    call = ast.parse(text.partition(": ")[2], mode="eval").body
    assert isinstance(call, ast.Call)
    values = {
        str(keyword.arg): eval(ast.unparse(keyword.value), vars(kv))  # printed by ourselves
        for keyword in call.keywords
    }
    return values["topology"], values["faults"]
