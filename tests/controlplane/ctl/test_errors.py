from controlplane.api import errors
from controlplane.api.errors import Cause
from controlplane.ctl.errors import StatusError, message_of


def told(error: errors.ApiError) -> str:
    return message_of(StatusError(error.status))


def test_one_cause_stands_behind_the_object_and_several_below_it() -> None:
    one = Cause("FieldValueRequired", "Required value", "spec.x")
    two = Cause("FieldValueInvalid", "Invalid value: 3", "spec.y")
    assert told(errors.invalid("Pod", "", "a", [one])) == (
        'The Pod "a" is invalid: spec.x: Required value'
    )
    assert told(errors.invalid("Pod", "", "a", [one, two, two])) == (
        'The Pod "a" is invalid: \n* spec.x: Required value\n* spec.y: Invalid value: 3'
    )


def test_a_reason_is_named_and_what_was_done() -> None:
    assert told(errors.not_found("pods", "", "a")) == (
        'Error from server (NotFound): pods "a" not found'
    )
    error = StatusError(errors.not_found("namespaces", "", "d").status)
    assert message_of(error, doing='error when creating "f"') == (
        'Error from server (NotFound): error when creating "f": namespaces "d" not found'
    )
    assert message_of(StatusError({"message": "odd"})) == "Error from server: odd"
