"""`connect` as the test at hand has it: each is run on both of the client's channels."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from kvstore.client import Client, Tls, open_http2_channel
from kvstore.client import connect as connect_by
from kvstore.client.connection import REQUEST_TIMEOUT_SECONDS
from kvstore.client.grpc_channel import open_grpc_channel
from kvstore.seams import RpcChannel

Open = Callable[[str, Tls | None], RpcChannel]

CHANNELS: dict[str, Open] = {"grpc": open_grpc_channel, "http2": open_http2_channel}
_chosen: ContextVar[Open] = ContextVar("_chosen")


@contextmanager
def chosen(name: str) -> Iterator[None]:
    """`connect` opens these."""
    token = _chosen.set(CHANNELS[name])
    try:
        yield
    finally:
        _chosen.reset(token)


def connect(
    endpoints: Sequence[str],
    *,
    tls: Tls | None = None,
    request_timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
) -> Client:
    """As the client's own."""
    opened = _chosen.get()
    return connect_by(
        endpoints,
        request_timeout_seconds=request_timeout_seconds,
        open_channel=lambda endpoint: opened(endpoint, tls),
    )
