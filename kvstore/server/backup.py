"""The file that `snapshot save` gets: framed chunks of a state machine, padded and hashed. Pure.

A magic line, then each chunk after its length (32 bits, big-endian), a length of 0, zeros up to a
multiple of 512 bytes, and the SHA-256 of all before it. The padding is for etcdctl, which takes a
file for complete when it is 32 bytes longer than a number of disk sectors.
"""

import hashlib
from collections.abc import Generator, Iterable, Iterator

from kvstore.errors import DataFolderError

MAGIC = b"keelson snapshot 1\n"
SECTOR_BYTES = 512
_LENGTH_BYTES = 4


def blobs(chunks: Iterable[bytes]) -> Generator[bytes, None, None]:
    """The file in pieces, each at most a little larger than a chunk; the last is the hash."""
    sha256 = hashlib.sha256()
    size = 0
    for blob in _framed(chunks):
        sha256.update(blob)
        size += len(blob)
        yield blob
    padding = bytes(-size % SECTOR_BYTES)
    if padding:
        sha256.update(padding)
        yield padding
    yield sha256.digest()


def _framed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield MAGIC
    for chunk in chunks:
        assert chunk, "an empty chunk would end the file"
        yield len(chunk).to_bytes(_LENGTH_BYTES, "big") + chunk
    yield bytes(_LENGTH_BYTES)


def chunks_of(file: bytes) -> Iterator[bytes]:
    """The chunks in a file. Raises DataFolderError if it is none, or not whole."""
    body, digest = memoryview(file)[:-32], file[-32:]
    if bytes(body[: len(MAGIC)]) != MAGIC:
        raise DataFolderError("this is no snapshot of keelson's")
    if hashlib.sha256(body).digest() != digest:
        raise DataFolderError("the snapshot is damaged or not whole: its SHA-256 does not match")
    return _unframed(body[len(MAGIC) :])


def _unframed(body: memoryview) -> Iterator[bytes]:
    while size := int.from_bytes(body[:_LENGTH_BYTES], "big"):
        body = body[_LENGTH_BYTES:]
        yield bytes(body[:size])
        body = body[size:]
