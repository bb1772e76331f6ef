import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from controlplane.api.decoding import decode_yaml
from controlplane.ctl import output
from controlplane.ctl.output import TableWriter

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"))
AWKWARD = st.sampled_from(["y", "no", "1e3", "0o17", "~", "", "null", ".5", "-", "22:22", "a: b"])
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT | AWKWARD,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT | AWKWARD, inner, max_size=4),
    max_leaves=20,
)


@example({"": "0\n"})
@given(st.dictionaries(TEXT | AWKWARD, TREES, max_size=4))
def test_yaml_is_read_back_as_it_was_by_kubernetes_rules(tree: dict[str, Any]) -> None:
    value, duplicates = decode_yaml(f"{output.as_yaml(tree)}\n".encode())  # as it is printed
    assert value == tree
    assert duplicates == ()


@given(st.dictionaries(TEXT, TREES, max_size=4))
def test_json_is_indented_by_four_and_read_back_as_it_was(tree: dict[str, Any]) -> None:
    text = output.as_json(tree)
    assert json.loads(text) == tree
    indents = [len(line) - len(line.lstrip(" ")) for line in text.split("\n")]
    assert all(indent % 4 == 0 for indent in indents)


def a_table(*rows: list[object]) -> dict[str, Any]:
    return {
        "columnDefinitions": [
            {"name": "Name", "priority": 0},
            {"name": "Age", "priority": 0},
            {"name": "Image", "priority": 1},
        ],
        "rows": [{"cells": cells, "object": {"metadata": {"namespace": "d"}}} for cells in rows],
    }


def test_columns_are_as_wide_as_kubectls() -> None:
    lines = TableWriter(is_wide=False).lines(a_table(["a", "5s", "x"]), has_header=True)
    assert lines == ["NAME   AGE", "a      5s"]


def test_wide_shows_all_columns_and_namespaces_stand_first() -> None:
    writer = TableWriter(is_wide=True, prefix="pod/", has_namespaces=True)
    lines = writer.lines(a_table(["a", "5s", None]), has_header=True)
    assert lines == ["NAMESPACE   NAME    AGE   IMAGE", "d           pod/a   5s    "]


def test_a_column_of_a_growing_table_never_gets_narrower() -> None:
    writer = TableWriter(is_wide=False)
    writer.lines(a_table(["a-long-name", "5s", "x"]), has_header=True)
    later = {"rows": a_table(["b", "6s", "x"])["rows"]}
    assert writer.lines(later, has_header=False) == ["b             6s"]


def test_a_cell_is_one_line_that_no_terminal_obeys() -> None:
    table = a_table(["a\x1b[31m", "one\ntwo", "x"])
    lines = TableWriter(is_wide=False).lines(table, has_header=False)
    assert lines == ["a?[31m   one..."]
