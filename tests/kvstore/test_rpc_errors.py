import pytest

from kvstore import errors
from kvstore.rpc_errors import PREFIXES, STATUSES, Status, error_of, status_of


def _leaves(base: type[errors.KvError]) -> list[type[errors.KvError]]:
    """Every class under `base` that stands for one fault: leaves, and bases with a row."""
    if base is errors.OperatorError or base.__module__ != errors.__name__:
        return []  # never leaves a server
    subclasses = [leaf for child in base.__subclasses__() for leaf in _leaves(child)]
    return subclasses + ([base] if not subclasses or base in STATUSES else [])


LEAVES = _leaves(errors.KvError)


@pytest.mark.parametrize("error", LEAVES)
def test_every_error_that_a_caller_can_meet_has_a_row(error: type[errors.KvError]) -> None:
    assert (error in STATUSES) != (error in PREFIXES)


@pytest.mark.parametrize("error", [one for one in LEAVES if one in STATUSES])
def test_an_error_that_came_by_the_wire_says_what_etcd_says(error: type[errors.KvError]) -> None:
    assert str(error_of(*STATUSES[error])) == STATUSES[error].text


@pytest.mark.parametrize("error", LEAVES)
def test_an_error_survives_the_wire(error: type[errors.KvError]) -> None:
    assert type(error_of(*status_of(error()))) is error


def test_texts_name_one_error_each() -> None:
    assert len({status.text for status in STATUSES.values()}) == len(STATUSES)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.EmptyKeyError(), ("INVALID_ARGUMENT", "etcdserver: key is not provided")),
        (
            errors.CompactedError(1, 2),
            ("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted"),
        ),
        (errors.LeaseNotFoundError(), ("NOT_FOUND", "etcdserver: requested lease not found")),
        (errors.NotLeaderError(), ("FAILED_PRECONDITION", "etcdserver: not leader")),
        (errors.NoLeaderError(), ("UNAVAILABLE", "etcdserver: no leader")),
        (errors.StoppedError(), ("UNAVAILABLE", "etcdserver: server stopped")),
        (errors.UnavailableError("why"), ("UNAVAILABLE", "why")),
        (errors.RequestError("why"), ("UNKNOWN", "why")),
        (
            errors.UnsupportedError("MemberAdd"),
            ("UNIMPLEMENTED", "etcdserver: not supported yet: MemberAdd"),
        ),
    ],
)
def test_codes_and_texts_are_those_of_etcd(error: errors.KvError, status: Status) -> None:
    assert status_of(error) == status


def test_the_message_of_an_error_without_fixed_text_survives() -> None:
    error = error_of(*status_of(errors.UnsupportedError("MemberAdd")))
    assert str(error) == "MemberAdd"


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("UNAVAILABLE", "failed to connect", errors.UnavailableError),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", errors.RequestTimeoutError),
        (
            "RESOURCE_EXHAUSTED",
            "grpc: received message larger than max (3 vs. 2)",
            errors.RequestTooLargeError,
        ),
        ("UNIMPLEMENTED", "unknown method X for service Y", errors.UnknownMethodError),
        ("FAILED_PRECONDITION", "etcdserver: no such thing", errors.RequestError),
        ("INTERNAL", "surprise", errors.RequestError),
    ],
)
def test_an_unknown_text_is_judged_by_its_code(
    code: str, text: str, expected: type[errors.KvError]
) -> None:
    assert type(error_of(code, text)) is expected
