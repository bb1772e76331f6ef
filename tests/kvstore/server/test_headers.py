"""Headers as bytes are those that protobuf would have written."""

from hypothesis import given
from hypothesis import strategies as st

from kvstore.pb import rpc_pb2
from kvstore.server import convert
from kvstore.server.headers import Headers

unsigned = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1))
revisions = st.one_of(st.just(0), st.integers(0, 300), st.integers(0, 2**63 - 1))


class Node:
    def __init__(self, cluster_id: int, member_id: int, term: int) -> None:
        self.cluster_id, self.member_id, self.term = cluster_id, member_id, term


@given(unsigned, unsigned, st.lists(st.tuples(unsigned, revisions), min_size=1))
def test_a_field_is_what_protobuf_writes_whatever_was_told_before(
    cluster_id: int, member_id: int, told: list[tuple[int, int]]
) -> None:
    node = Node(cluster_id, member_id, 0)
    headers = Headers(node)
    for node.term, revision in told:
        response = rpc_pb2.PutResponse(header=convert.header(node, revision))
        assert headers.field(revision) == response.SerializeToString()
