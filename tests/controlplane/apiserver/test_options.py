"""Options of writes (kube-behaviour 2.10, 2.11, 2.15 to 2.17, 2.19)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.errors import ApiError
from controlplane.apiserver.options import (
    DeleteWish,
    WriteOptions,
    delete_wish,
    manager_of,
    write_options,
)
from tests.controlplane.apiserver.asked import incoming


def options(query: str = "", *, is_apply: bool = False, agent: str = "") -> WriteOptions:
    asked = incoming("PATCH", "/", query, user_agent=agent)
    return write_options(asked, "PatchOptions", is_apply=is_apply)


def wish(query: str = "", **body: Any) -> DeleteWish:
    return delete_wish(incoming("DELETE", "/", query), body)


def causes(call: Any, *arguments: Any, **more: Any) -> list[tuple[str, str]]:
    with pytest.raises(ApiError) as caught:
        call(*arguments, **more)
    assert caught.value.code == 422
    return [(cause.field, cause.reason) for cause in caught.value.causes]


def test_nothing_said() -> None:
    assert options(agent="kubectl/v1.33.0 (linux/amd64)") == WriteOptions(manager="kubectl")


def test_all_said() -> None:
    found = options("dryRun=All&fieldManager=me&fieldValidation=Strict&force=true", is_apply=True)
    assert found == WriteOptions(is_dry_run=True, manager="me", strict="Strict", is_forced=True)


@pytest.mark.parametrize(
    ("query", "field", "reason"),
    [
        ("dryRun=Some", "dryRun", "FieldValueNotSupported"),
        ("dryRun=", "dryRun", "FieldValueNotSupported"),
        ("dryRun=All&dryRun=x", "dryRun", "FieldValueNotSupported"),
        ("fieldValidation=strict", "fieldValidation", "FieldValueNotSupported"),
        ("force=true", "force", "FieldValueForbidden"),
        ("fieldManager=a%0Ab", "fieldManager", "FieldValueInvalid"),
        (f"fieldManager={'x' * 129}", "fieldManager", "FieldValueTooLong"),
        (f"fieldManager={'%C3%A4' * 65}", "fieldManager", "FieldValueTooLong"),
    ],
)
def test_what_does_not_fit(query: str, field: str, reason: str) -> None:
    assert causes(options, query) == [(field, reason)]


def test_an_apply_names_its_manager() -> None:
    """2.15: 422, as every fault of PatchOptions."""
    assert causes(options, is_apply=True, agent="kubectl/v1") == [
        ("fieldManager", "FieldValueRequired")
    ]


def test_all_faults_are_told_at_once() -> None:
    found = causes(options, "dryRun=x&fieldValidation=y&force=1")
    assert [field for field, _ in found] == ["force", "dryRun", "fieldValidation"]


@pytest.mark.parametrize(
    ("agent", "manager"),
    [
        ("kubectl/v1.33.0 (linux/amd64) kubernetes/abc", "kubectl"),
        ("curl", "curl"),
        ("", "unknown"),
        ("/x", "unknown"),
        ("a\tb\x00\udcff/1", "ab"),
        ("ä" * 200, "ä" * 64),
    ],
)
def test_a_program_gives_its_name_to_a_manager(agent: str, manager: str) -> None:
    assert manager_of(agent) == manager


@given(st.text(alphabet=st.characters(), max_size=200))
def test_any_program_has_a_name_that_can_be_stored(agent: str) -> None:
    name = manager_of(agent)
    assert 0 < len(name.encode()) <= 128
    assert name.isprintable()


# -------------------------------------------------------------------------- deletes


def test_a_plain_delete() -> None:
    assert wish() == DeleteWish()


def test_the_body_goes_before_the_query() -> None:
    found = wish(
        "propagationPolicy=Orphan&gracePeriodSeconds=5",
        propagationPolicy="Foreground",
        gracePeriodSeconds=0,
        dryRun=["All"],
        preconditions={"uid": "u", "resourceVersion": "7"},
    )
    assert found == DeleteWish(
        is_dry_run=True,
        grace_seconds=0,
        policy="Foreground",
        uid="u",
        resource_version="7",
    )
    assert wish("propagationPolicy=Orphan&gracePeriodSeconds=5&dryRun=All") == DeleteWish(
        is_dry_run=True, grace_seconds=5, policy="Orphan"
    )


def test_a_negative_grace_is_a_second() -> None:
    """2.19."""
    assert wish(gracePeriodSeconds=-7).grace_seconds == 1


def test_orphans_as_they_were_told_once() -> None:
    assert wish(orphanDependents=True).policy == "Orphan"
    assert wish(orphanDependents=False).policy == "Background"
    assert wish("orphanDependents=false").policy == "Background"
    assert causes(wish, orphanDependents=True, propagationPolicy="Orphan") == [
        ("propagationPolicy", "FieldValueInvalid")
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [({"propagationPolicy": "Later"}, "propagationPolicy"), ({"dryRun": ["None"]}, "dryRun")],
)
def test_what_is_not_supported(body: dict[str, Any], field: str) -> None:
    assert causes(wish, **body) == [(field, "FieldValueNotSupported")]


@pytest.mark.parametrize(
    "body",
    [
        {"preconditions": "x"},
        {"preconditions": [1]},
        {"dryRun": "All"},
        {"dryRun": 5},
        {"dryRun": {"a": 1}},
        {"propagationPolicy": ["Orphan"]},
        {"propagationPolicy": 5},
        {"orphanDependents": "no"},
        {"gracePeriodSeconds": "5"},
        {"gracePeriodSeconds": True},
        {"gracePeriodSeconds": 1.5},
    ],
)
def test_another_type_is_400(body: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as caught:
        wish(**body)
    assert caught.value.code == 400


def test_the_store_is_told_the_same() -> None:
    found = wish(gracePeriodSeconds=3, propagationPolicy="Orphan", dryRun=["All"]).options()
    assert (found.grace_period_seconds, found.propagation_policy, found.dry_run) == (
        *(3, "Orphan", True),
    )
