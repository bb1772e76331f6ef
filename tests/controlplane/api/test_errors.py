"""What a refused request is told (kube-behaviour 2.18)."""

import pytest

from controlplane.api import errors
from controlplane.api.errors import CAUSE_CHARACTERS_MAX, CAUSES_MAX, ApiError, Cause

MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


@pytest.mark.parametrize(
    ("error", "code", "reason", "message"),
    [
        (errors.bad_request("why"), 400, "BadRequest", "why"),
        (errors.unauthorized(), 401, "Unauthorized", "Unauthorized"),
        (
            errors.forbidden("deployments", "apps", "a", "why"),
            403,
            "Forbidden",
            'deployments.apps "a" is forbidden: why',
        ),
        (errors.not_found("pods", "", "x"), 404, "NotFound", 'pods "x" not found'),
        (
            errors.no_such_path(),
            404,
            "NotFound",
            "the server could not find the requested resource",
        ),
        (
            errors.method_not_allowed("pods", "", "patch"),
            405,
            "MethodNotAllowed",
            'patch is not supported on resources of kind "pods"',
        ),
        (errors.already_exists("pods", "", "x"), 409, "AlreadyExists", 'pods "x" already exists'),
        (
            errors.conflict("pods", "", "x"),
            409,
            "Conflict",
            f'Operation cannot be fulfilled on pods "x": {MODIFIED}',
        ),
        (errors.expired("why"), 410, "Expired", "why"),
        (errors.too_large("why"), 413, "RequestEntityTooLarge", "why"),
        (errors.unsupported_media_type("why"), 415, "UnsupportedMediaType", "why"),
        (
            errors.invalid("Pod", "", "x", [Cause("FieldValueRequired", "Required value", "a.b")]),
            422,
            "Invalid",
            'Pod "x" is invalid: a.b: Required value',
        ),
        (errors.too_many_requests("why"), 429, "TooManyRequests", "why"),
        (errors.internal("why"), 500, "InternalError", "Internal error occurred: why"),
        (errors.service_unavailable("why"), 503, "ServiceUnavailable", "why"),
        (errors.timeout("why"), 504, "Timeout", "why"),
    ],
    ids=lambda found: str(found.code) if isinstance(found, ApiError) else "",
)
def test_codes_and_reasons_are_those_of_kubernetes(
    error: ApiError, code: int, reason: str, message: str
) -> None:
    """2.18."""
    assert {key: value for key, value in error.status.items() if key != "details"} == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


@pytest.mark.parametrize(
    "error", [errors.too_many_requests("why"), errors.service_unavailable("why")]
)
def test_who_may_come_again_is_told_when(error: ApiError) -> None:
    """2.18, 11.9: after 1 s."""
    assert error.status["details"] == {"retryAfterSeconds": 1}


def test_a_refusal_is_short_whatever_it_repeats() -> None:
    """Causes hold what clients have sent, of which each may be the whole body."""
    long = "x" * 1_000_000
    wrong = [Cause("FieldValueInvalid", f"Invalid value: {long}", long)] * 10_000
    details = errors.invalid("Thing", "", "t", wrong).status["details"]
    assert isinstance(details, dict)
    assert len(details["causes"]) == CAUSES_MAX
    told = details["causes"][0]
    assert len(told["message"]) == len(told["field"]) == CAUSE_CHARACTERS_MAX
    assert told["message"].startswith("Invalid value: xxx")
    assert told["message"].endswith("xxx...")


def test_all_that_is_wrong_is_in_the_causes() -> None:
    """2.18, 2.19: all of it is in the message as well."""
    wrong = [
        Cause("FieldValueRequired", "Required value", "spec.a"),
        Cause("FieldValueInvalid", 'Invalid value: "x": y', "spec.b"),
    ]
    status = errors.invalid("Thing", "example.com", "t", wrong).status
    assert (status["code"], status["reason"]) == (422, "Invalid")
    assert status["message"] == (
        'Thing.example.com "t" is invalid: [spec.a: Required value, spec.b: Invalid value: "x": y]'
    )
    assert status["details"] == {
        "name": "t",
        "group": "example.com",
        "kind": "Thing",
        "causes": [
            {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.a"},
            {"reason": "FieldValueInvalid", "message": 'Invalid value: "x": y', "field": "spec.b"},
        ],
    }
