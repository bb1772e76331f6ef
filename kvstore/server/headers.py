"""Headers of a member's responses as bytes. Pure.

Every response begins with one. Most of its bytes never change, and many responses share all of
them: all that one revision answers. The field numbers are those of etcd's ResponseHeader.
"""

from kvstore.pb import rpc_pb2
from kvstore.server.convert import Answerer
from kvstore.server.wire import HEADER_TAG, REVISION_TAG, varint, with_length

_TERM_TAG = b"\x20"  # field 4, varint


class Headers:
    """The headers of one member."""

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer
        self._member = rpc_pb2.ResponseHeader(
            cluster_id=answerer.cluster_id, member_id=answerer.member_id
        ).SerializeToString()
        self._told = (-1, -1)
        self._field = b""

    def field(self, revision: int) -> bytes:
        """The header as the first field of a response that was made at a revision (0: untold)."""
        told = (revision, self._answerer.term)
        if told != self._told:
            self._told = told
            self._field = self._encode(*told)
        return self._field

    def _encode(self, revision: int, term: int) -> bytes:
        header = self._member
        if revision:
            header += REVISION_TAG + varint(revision)
        if term:
            header += _TERM_TAG + varint(term)
        return HEADER_TAG + with_length(header)
