"""2.19: reasons and texts of causes, as apimachinery documents its field errors."""

import pytest

from controlplane.api import causes
from controlplane.api.errors import Cause


@pytest.mark.parametrize(
    ("cause", "reason", "message"),
    [
        (causes.required("f"), "FieldValueRequired", "Required value"),
        (causes.required("f", "why"), "FieldValueRequired", "Required value: why"),
        (causes.invalid("f", "x", "why"), "FieldValueInvalid", 'Invalid value: "x": why'),
        (causes.invalid("f", 1.5, "why"), "FieldValueInvalid", "Invalid value: 1.5: why"),
        (causes.invalid("f", True, "why"), "FieldValueInvalid", "Invalid value: true: why"),
        (
            causes.invalid("f", {"b": 1, "a": []}, "why"),
            "FieldValueInvalid",
            'Invalid value: {"a":[],"b":1}: why',
        ),
        (
            causes.type_invalid("f", "x", "why"),
            "FieldValueTypeInvalid",
            'Invalid value: "x": why',
        ),
        (
            causes.not_supported("f", "x", ["a", "b"]),
            "FieldValueNotSupported",
            'Unsupported value: "x": supported values: "a", "b"',
        ),
        (
            causes.not_supported("f", "x", []),
            "FieldValueNotSupported",
            'Unsupported value: "x"',
        ),
        (
            causes.not_supported("f", "x", {"c", "a", "b"}),
            "FieldValueNotSupported",
            'Unsupported value: "x": supported values: "a", "b", "c"',
        ),
        (
            causes.invalid_as("f", causes.go_map({"b": "2", "a": "1"}), "why"),
            "FieldValueInvalid",
            'Invalid value: map[string]string{"a":"1", "b":"2"}: why',
        ),
        (
            causes.invalid_as("f", causes.go_strings(["a", "b"]), "why"),
            "FieldValueInvalid",
            'Invalid value: []string{"a", "b"}: why',
        ),
        (causes.duplicate("f", "x"), "FieldValueDuplicate", 'Duplicate value: "x"'),
        (causes.forbidden("f", "why"), "FieldValueForbidden", "Forbidden: why"),
        (causes.not_found("f", "x"), "FieldValueNotFound", 'Not found: "x"'),
        (causes.too_long("f", 1), "FieldValueTooLong", "Too long: may not be more than 1 byte"),
        (
            causes.too_many("f", 3, 2),
            "FieldValueTooMany",
            "Too many: 3: must have at most 2 items",
        ),
        (
            causes.immutable("f", "x"),
            "FieldValueInvalid",
            'Invalid value: "x": field is immutable',
        ),
    ],
)
def test_causes_have_kubernetes_reasons_and_texts(cause: Cause, reason: str, message: str) -> None:
    assert cause == Cause(reason, message, "f")
