"""KV.Txn: branches, operations, limits, duplicate keys, nesting."""

import pytest

from kvstore.pb.rpc_pb2 import Compare, LeaseGrantRequest, PutRequest, RequestOp
from tests.conformance.client import Client, end_of, op_delete, op_put, op_range, op_txn, refused

covers = pytest.mark.covers
DUPLICATE = ("INVALID_ARGUMENT", "etcdserver: duplicate key given in txn request")
TOO_MANY = ("INVALID_ARGUMENT", "etcdserver: too many operations in txn request")
OPERATIONS_MAX = 128  # --max-txn-ops by default


def version_is(key: bytes, version: int) -> Compare:
    return Compare(key=key, target=Compare.VERSION, result=Compare.EQUAL, version=version)


@covers("TxnRequest.success", "RequestOp.request_put")
def test_txn_without_compares_runs_success(client: Client, prefix: bytes) -> None:
    response = client.txn(success=[op_put(prefix, b"s")], failure=[op_put(prefix, b"f")])
    assert response.succeeded
    assert client.range(prefix).kvs[0].value == b"s"


@covers("TxnRequest.compare", "TxnRequest.failure")
def test_a_false_compare_runs_failure(client: Client, prefix: bytes) -> None:
    response = client.txn([version_is(prefix, 7)], [op_put(prefix, b"s")], [op_put(prefix, b"f")])
    assert not response.succeeded
    assert client.range(prefix).kvs[0].value == b"f"


def test_all_compares_must_hold(client: Client, prefix: bytes) -> None:
    compares = [version_is(prefix + b"a", 0), version_is(prefix + b"b", 1)]
    assert not client.txn(compares).succeeded


def test_an_empty_txn_succeeds_and_changes_nothing(client: Client) -> None:
    before = client.revision()
    response = client.txn()
    assert (response.succeeded, len(response.responses)) == (True, 0)
    assert response.header.revision == before


def test_operations_of_a_txn_share_the_revision(client: Client, prefix: bytes) -> None:
    before = client.revision()
    response = client.txn(success=[op_put(prefix + b"a"), op_put(prefix + b"b")])
    assert response.header.revision == before + 1
    kvs = client.range(prefix, end_of(prefix)).kvs
    assert {(kv.mod_revision, kv.create_revision) for kv in kvs} == {(before + 1, before + 1)}


@covers("RequestOp.request_range")
def test_read_only_txn_leaves_the_revision(client: Client, prefix: bytes) -> None:
    revision = client.put(prefix, b"v").header.revision
    response = client.txn(success=[op_range(prefix)])
    assert response.header.revision == revision
    assert response.responses[0].response_range.kvs[0].value == b"v"


@covers("RequestOp.request_delete_range")
def test_txn_that_deletes_nothing_leaves_the_revision(client: Client, prefix: bytes) -> None:
    before = client.revision()
    response = client.txn(success=[op_delete(prefix)])
    assert response.header.revision == before
    assert response.responses[0].response_delete_range.deleted == 0


def test_responses_come_in_the_order_of_the_operations(client: Client, prefix: bytes) -> None:
    client.put(prefix + b"a")
    response = client.txn(
        success=[op_range(prefix), op_delete(prefix + b"a"), op_put(prefix + b"b"), op_txn()]
    )
    kinds = [one.WhichOneof("response") for one in response.responses]
    assert kinds == [
        "response_range",
        "response_delete_range",
        "response_put",
        "response_txn",
    ]


def test_a_range_sees_the_puts_before_it_in_the_txn(client: Client, prefix: bytes) -> None:
    client.put(prefix, b"old")
    response = client.txn(success=[op_range(prefix), op_put(prefix, b"new"), op_range(prefix)])
    values = [response.responses[n].response_range.kvs[0].value for n in (0, 2)]
    assert values == [b"old", b"new"]


def test_a_key_put_in_the_txn_shows_its_coming_revision(client: Client, prefix: bytes) -> None:
    before = client.revision()
    response = client.txn(success=[op_put(prefix), op_range(prefix)])
    [kv] = response.responses[1].response_range.kvs
    assert (kv.create_revision, kv.mod_revision, kv.version) == (before + 1, before + 1, 1)


def test_a_range_sees_the_deletes_before_it_in_the_txn(client: Client, prefix: bytes) -> None:
    client.put(prefix)
    response = client.txn(success=[op_delete(prefix), op_range(prefix)])
    assert response.responses[1].response_range.count == 0


def test_compares_see_the_state_before_the_txn(client: Client, prefix: bytes) -> None:
    response = client.txn([version_is(prefix, 0)], [op_put(prefix)])
    assert response.succeeded


def test_headers_of_range_responses_in_a_write_txn(client: Client, prefix: bytes) -> None:
    before = client.revision()
    response = client.txn(
        success=[op_range(prefix), op_put(prefix), op_range(prefix), op_delete(prefix + b"x")]
    )
    headers = [
        response.responses[0].response_range.header,
        response.responses[1].response_put.header,
        response.responses[2].response_range.header,
        response.responses[3].response_delete_range.header,
    ]
    assert [header.revision for header in headers] == [before, before + 1, before + 1, before + 1]
    assert {(header.cluster_id, header.member_id) for header in headers} == {(0, 0)}


def test_delete_then_put_of_the_deleted_key_in_one_txn_is_a_duplicate(
    client: Client, prefix: bytes
) -> None:
    client.put(prefix)
    with refused(*DUPLICATE):
        client.txn(success=[op_delete(prefix), op_put(prefix)])


@covers("INVALID_ARGUMENT etcdserver: duplicate key given in txn request")
def test_two_puts_of_a_key_are_refused(client: Client, prefix: bytes) -> None:
    with refused(*DUPLICATE):
        client.txn(success=[op_put(prefix), op_put(prefix)])
    assert client.range(prefix).count == 0


def test_two_puts_of_a_key_in_failure_are_refused_too(client: Client, prefix: bytes) -> None:
    with refused(*DUPLICATE):
        client.txn(failure=[op_put(prefix), op_put(prefix)])


def test_a_put_in_each_branch_is_no_duplicate(client: Client, prefix: bytes) -> None:
    assert client.txn(success=[op_put(prefix)], failure=[op_put(prefix)]).succeeded


def test_a_put_inside_a_deleted_range_is_a_duplicate(client: Client, prefix: bytes) -> None:
    with refused(*DUPLICATE):
        client.txn(success=[op_put(prefix + b"b"), op_delete(prefix, end_of(prefix))])


def test_a_put_before_an_open_ended_delete_is_not_taken_for_a_duplicate(fresh: Client) -> None:
    response = fresh.txn(success=[op_put(b"b"), op_delete(b"a", b"\0")])
    assert response.responses[1].response_delete_range.deleted == 1
    assert fresh.range(b"b").count == 0


def test_a_put_at_the_end_of_a_deleted_range_is_none(client: Client, prefix: bytes) -> None:
    response = client.txn(success=[op_put(prefix + b"c"), op_delete(prefix + b"a", prefix + b"c")])
    assert response.succeeded


def test_overlapping_deletes_are_allowed(client: Client, prefix: bytes) -> None:
    client.put(prefix + b"a")
    response = client.txn(success=[op_delete(prefix, end_of(prefix)), op_delete(prefix + b"a")])
    assert [one.response_delete_range.deleted for one in response.responses] == [1, 0]


def test_a_put_and_a_nested_put_of_one_key_are_duplicates(client: Client, prefix: bytes) -> None:
    with refused(*DUPLICATE):
        client.txn(success=[op_put(prefix), op_txn(success=[op_put(prefix)])])


def test_a_put_and_a_nested_put_in_failure_are_duplicates(client: Client, prefix: bytes) -> None:
    with refused(*DUPLICATE):
        client.txn(success=[op_put(prefix), op_txn(failure=[op_put(prefix)])])


def test_a_put_and_a_nested_delete_of_its_key_are_duplicates(client: Client, prefix: bytes) -> None:
    with refused(*DUPLICATE):
        client.txn(success=[op_put(prefix), op_txn(success=[op_delete(prefix)])])


def test_puts_in_both_branches_of_a_nested_txn_are_none(client: Client, prefix: bytes) -> None:
    nested = op_txn(success=[op_put(prefix)], failure=[op_put(prefix)])
    assert client.txn(success=[nested]).succeeded


def test_puts_of_one_key_in_two_nested_txns_are_duplicates(client: Client, prefix: bytes) -> None:
    with refused(*DUPLICATE):
        client.txn(success=[op_txn(success=[op_put(prefix)]), op_txn(success=[op_put(prefix)])])


def test_ranges_of_a_written_key_are_no_duplicates(client: Client, prefix: bytes) -> None:
    ops = [op_put(prefix), op_range(prefix), op_range(prefix)]
    assert client.txn(success=ops).succeeded


@covers("RequestOp.request_txn")
def test_a_nested_txn_runs_its_own_branch(client: Client, prefix: bytes) -> None:
    nested = op_txn([version_is(prefix, 5)], [op_put(prefix, b"s")], [op_put(prefix, b"f")])
    response = client.txn(success=[nested])
    assert response.succeeded
    assert not response.responses[0].response_txn.succeeded
    assert client.range(prefix).kvs[0].value == b"f"


def test_a_nested_txn_shares_the_revision(client: Client, prefix: bytes) -> None:
    before = client.revision()
    response = client.txn(success=[op_put(prefix + b"a"), op_txn(success=[op_put(prefix + b"b")])])
    assert response.header.revision == before + 1
    kvs = client.range(prefix, end_of(prefix)).kvs
    assert {kv.mod_revision for kv in kvs} == {before + 1}


def test_compares_of_a_nested_txn_see_the_state_before_the_outer_one(
    client: Client, prefix: bytes
) -> None:
    nested = op_txn([version_is(prefix, 0)], [op_put(prefix + b"unchanged")])
    response = client.txn(success=[op_put(prefix), nested])
    assert response.responses[1].response_txn.succeeded
    assert client.range(prefix + b"unchanged").count == 1


def test_a_failing_compare_of_a_nested_txn_leaves_the_outer_branch(
    client: Client, prefix: bytes
) -> None:
    response = client.txn(success=[op_put(prefix), op_txn([version_is(prefix, 9)])])
    assert response.succeeded
    assert client.range(prefix).count == 1


def test_three_levels_of_nesting_work(client: Client, prefix: bytes) -> None:
    innermost = op_txn(success=[op_put(prefix, b"deep")])
    response = client.txn(success=[op_txn(success=[innermost])])
    inner = response.responses[0].response_txn.responses[0].response_txn
    assert inner.succeeded
    assert client.range(prefix).kvs[0].value == b"deep"


def test_operations_up_to_the_limit_are_allowed(client: Client, prefix: bytes) -> None:
    ops = [op_put(prefix + b"%03d" % n) for n in range(OPERATIONS_MAX)]
    assert len(client.txn(success=ops).responses) == OPERATIONS_MAX


@covers("INVALID_ARGUMENT etcdserver: too many operations in txn request")
@pytest.mark.parametrize("part", ["compares", "success", "failure"])
def test_more_operations_than_the_limit_are_refused(
    client: Client, prefix: bytes, part: str
) -> None:
    many = range(OPERATIONS_MAX + 1)
    with refused(*TOO_MANY):
        if part == "compares":
            client.txn([version_is(prefix, 0) for _ in many])
        elif part == "success":
            client.txn(success=[op_range(prefix) for _ in many])
        else:
            client.txn(failure=[op_range(prefix) for _ in many])


def test_each_part_of_a_txn_has_the_limit_for_itself(client: Client, prefix: bytes) -> None:
    ops = [op_range(prefix) for _ in range(OPERATIONS_MAX)]
    compares = [version_is(prefix, 0) for _ in range(OPERATIONS_MAX)]
    assert client.txn(compares, ops, ops).succeeded


def test_a_nested_txn_has_the_operations_that_the_outer_one_leaves(
    client: Client, prefix: bytes
) -> None:
    outer = [op_range(prefix)] * 27  # and the nested txn itself: 28
    left = [op_range(prefix)] * (OPERATIONS_MAX - 28)
    assert client.txn(success=[*outer, op_txn(success=left)]).succeeded
    with refused(*TOO_MANY):
        client.txn(success=[*outer, op_txn(success=[*left, op_range(prefix)])])


def test_a_nested_txn_with_too_many_operations_is_refused(client: Client, prefix: bytes) -> None:
    many = [op_range(prefix) for _ in range(OPERATIONS_MAX + 1)]
    with refused(*TOO_MANY):
        client.txn(success=[op_txn(success=many)])


@pytest.mark.parametrize(
    "operation",
    [op_put(b""), op_range(b""), op_delete(b""), op_txn(success=[op_put(b"")])],
    ids=["put", "range", "delete", "nested"],
)
def test_an_operation_without_a_key_is_refused(client: Client, operation: RequestOp) -> None:
    with refused("INVALID_ARGUMENT", "etcdserver: key is not provided"):
        client.txn(success=[operation])


def test_an_operation_without_a_key_in_the_other_branch_is_refused(client: Client) -> None:
    with refused("INVALID_ARGUMENT", "etcdserver: key is not provided"):
        client.txn(failure=[op_range(b"")])


def test_a_compare_without_a_key_is_refused(client: Client) -> None:
    with refused("INVALID_ARGUMENT", "etcdserver: key is not provided"):
        client.txn([version_is(b"", 0)])


def test_a_put_in_a_txn_with_value_and_ignore_value_is_refused(
    client: Client, prefix: bytes
) -> None:
    with refused("INVALID_ARGUMENT", "etcdserver: value is provided"):
        client.txn(success=[op_put(prefix, b"v", ignore_value=True)])


def test_a_put_in_a_txn_with_an_unknown_lease_is_refused_as_a_whole(
    client: Client, prefix: bytes, lease_id: int
) -> None:
    before = client.revision()
    with refused("NOT_FOUND", "etcdserver: requested lease not found"):
        client.txn(success=[op_put(prefix + b"a"), op_put(prefix + b"b", lease=lease_id)])
    assert client.range(prefix, end_of(prefix)).count == 0
    assert client.revision() == before


def test_an_unknown_lease_in_the_branch_not_taken_is_no_error(
    client: Client, prefix: bytes, lease_id: int
) -> None:
    assert client.txn(failure=[op_put(prefix, lease=lease_id)]).succeeded


def test_ignore_value_of_a_missing_key_in_a_txn_is_refused(client: Client, prefix: bytes) -> None:
    with refused("INVALID_ARGUMENT", "etcdserver: key not found"):
        client.txn(success=[op_put(prefix, ignore_value=True)])
    assert client.range(prefix).count == 0


def test_a_future_revision_in_a_txn_is_refused(client: Client, prefix: bytes) -> None:
    with refused("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision"):
        client.txn(success=[op_range(prefix, revision=client.revision() + 100)])


def test_a_range_at_a_past_revision_in_a_write_txn(client: Client, prefix: bytes) -> None:
    past = client.put(prefix, b"old").header.revision
    client.put(prefix, b"new")
    response = client.txn(success=[op_put(prefix), op_range(prefix, revision=past)])
    assert response.responses[1].response_range.kvs[0].value == b"old"


def test_range_options_work_in_a_txn(client: Client, prefix: bytes) -> None:
    for name in (b"a", b"b", b"c"):
        client.put(prefix + name, b"v")
    response = client.txn(
        success=[
            op_range(prefix, end_of(prefix), limit=2, keys_only=True),
            op_range(prefix, end_of(prefix), count_only=True),
        ]
    )
    limited, counted = (one.response_range for one in response.responses)
    assert [kv.key for kv in limited.kvs] == [prefix + b"a", prefix + b"b"]
    assert (limited.more, limited.count, limited.kvs[0].value) == (True, 3, b"")
    assert (len(counted.kvs), counted.count) == (0, 3)


def test_put_and_delete_options_work_in_a_txn(client: Client, prefix: bytes) -> None:
    client.put(prefix + b"a", b"1")
    client.put(prefix + b"b", b"2")
    response = client.txn(
        success=[op_put(prefix + b"a", b"x", prev_kv=True), op_delete(prefix + b"b", prev_kv=True)]
    )
    assert response.responses[0].response_put.prev_kv.value == b"1"
    assert response.responses[1].response_delete_range.prev_kvs[0].value == b"2"


def test_a_put_in_a_txn_attaches_its_lease(client: Client, prefix: bytes, lease_id: int) -> None:
    client.lease(LeaseGrantRequest(ID=lease_id, TTL=600))
    client.txn(success=[op_put(prefix, lease=lease_id)])
    assert client.range(prefix).kvs[0].lease == lease_id


def test_delete_and_put_of_different_keys_share_the_revision(client: Client, prefix: bytes) -> None:
    revision = client.put(prefix + b"a").header.revision
    response = client.txn(success=[op_delete(prefix + b"a"), op_put(prefix + b"b")])
    assert response.header.revision == revision + 1
    assert client.range(prefix + b"b").kvs[0].mod_revision == revision + 1


def test_an_operation_without_content_in_a_request_is_harmless(
    client: Client, prefix: bytes
) -> None:
    client.put(prefix)
    request = PutRequest(key=prefix)
    response = client.txn(success=[RequestOp(request_put=request)])
    assert response.responses[0].response_put.header.revision == response.header.revision
