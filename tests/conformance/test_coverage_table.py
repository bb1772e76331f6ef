"""COVERAGE.md is complete and up to date."""

import pytest

from tests.conformance import coverage_table


def test_every_field_option_and_error_in_scope_has_a_case() -> None:
    cases = coverage_table.cases_by_row()
    empty = [row for row in coverage_table.rows() if row not in cases]
    assert empty == []


def test_every_claim_names_a_row() -> None:
    unknown = set(coverage_table.cases_by_row()) - set(coverage_table.rows())
    assert unknown == set()


def test_table_is_up_to_date(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--rewrite-coverage", default=False):
        coverage_table.TABLE_PATH.write_text(coverage_table.render())
    assert coverage_table.TABLE_PATH.read_text() == coverage_table.render()


def test_suite_has_at_least_two_hundred_cases() -> None:
    assert coverage_table.case_count() >= 200
