"""How another shell talks to a running cluster: one JSON line each way over a unix socket.

The socket lies in the cluster's data folder, whose permissions are the access control.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from cluster.errors import NotRunningError

SOCKET_NAME = "control.sock"
ANSWER_SECONDS_MAX = 120.0  # a change of the membership may wait for the store
Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


@contextlib.contextmanager
def _short_path(folder: Path) -> Iterator[str]:
    """A path of the socket that fits a unix address (108 bytes) however deep the folder lies."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _for_owner_only() -> Iterator[None]:
    """What is made meanwhile is never anybody else's, also where the folder is open to all."""
    earlier = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(earlier)


@contextlib.asynccontextmanager
async def serve(folder: Path, handle: Handler) -> AsyncIterator[Callable[[], bool]]:
    """Answer requests until the context ends.

    The value tells whether the folder has become another's: somebody has deleted it under us, and
    a second launcher has made it anew. What is there is not ours then, the socket included.
    """

    async def on_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, ValueError):
            request = json.loads(await reader.readline())
            if not isinstance(request, dict):
                return
            writer.write(json.dumps(await handle(request)).encode() + b"\n")
            await writer.drain()

    place = folder / SOCKET_NAME
    place.unlink(missing_ok=True)
    with _short_path(folder) as path, _for_owner_only():
        server = await asyncio.start_unix_server(on_client, path)
    made = place.stat()  # nobody else's file has its number for as long as it is bound

    def is_anothers() -> bool:
        with contextlib.suppress(FileNotFoundError):
            return not os.path.samestat(made, place.stat())
        return False

    try:
        yield is_anothers
    finally:
        is_ours = not is_anothers()
        server.close()
        if is_ours:
            place.unlink(missing_ok=True)


async def request(folder: Path, message: dict[str, Any]) -> dict[str, Any]:
    """Ask the cluster that runs in `folder`. Raises NotRunningError, also when nothing comes back
    within ANSWER_SECONDS_MAX.
    """
    try:
        with _short_path(folder) as path:
            reader, writer = await asyncio.open_unix_connection(path)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
        raise NotRunningError(
            f"no cluster runs in {folder}: start one with `cluster up --data {folder}`"
        ) from error
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            writer.write(json.dumps(message).encode() + b"\n")
            await writer.drain()
            line = await reader.readline()
    except TimeoutError:
        raise NotRunningError(
            f"the launcher in {folder} does not answer: is it stopped? (kill -CONT)"
        ) from None
    finally:
        writer.close()
    if not line:
        raise NotRunningError(f"the cluster in {folder} ended before it answered")
    answer: dict[str, Any] = json.loads(line)
    return answer


async def require_healthy(folder: Path) -> None:
    """Raises NotRunningError: what runs in `folder` has no control plane, or is not healthy."""
    answer = await request(folder, {"do": "status"})
    rows = [*answer["members"], *answer["components"]]
    late = [row["name"] for row in rows if row["state"] != "healthy"]
    if late or not answer["components"]:
        why = f"{', '.join(late)}: not healthy" if late else "it has no control plane"
        raise NotRunningError(f"the cluster in {folder} is not ready for it: {why}")
