"""Listeners as the table wants them: opened, changed, closed, and tried again."""

import asyncio
import errno
import random
import socket
from contextlib import closing

import pytest

from controlplane.network import sockets
from controlplane.network.plan import Backend, Place
from controlplane.network.sockets import bound, why
from controlplane.network.table import Difference
from controlplane.network.userspace import Userspace
from tests.controlplane.network.conftest import Process, Server, ask, backend, free_place, soon


def _opened(place: Place, one: Backend) -> Difference:
    return Difference(opened={place: one}, changed={}, closed=[])


async def test_places_open_change_and_close(process: Process, servers: list[Server]) -> None:
    told: list[str] = []
    found = Userspace(process.seams, random.Random(6), lambda *what: told.append(str(what)))
    place = free_place()
    found.apply(_opened(place, backend([servers[0].endpoint])))
    assert await ask(place) == b"a"
    changed = backend([servers[1].endpoint])
    found.apply(Difference(opened={}, changed={place: changed}, closed=[]))
    assert await ask(place) == b"b"
    found.apply(Difference(opened={}, changed={}, closed=[place]))
    with pytest.raises(ConnectionRefusedError):
        await ask(place)
    found.apply(_opened(place, changed))  # the same place, at once
    assert await ask(place) == b"b"
    found.close()
    await asyncio.gather(*process.tasks)
    assert process.descriptors.take(1000)
    assert told == []


async def test_place_that_is_taken_is_told_once_and_opened_when_it_is_free(
    process: Process, servers: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leads to is as it was told last, not as when it failed first."""
    monkeypatch.setattr(sockets, "RETRY_SECONDS", 0.01)
    told: list[tuple[Place, str]] = []
    found = Userspace(
        process.seams, random.Random(6), lambda place, one, reason: told.append((place, reason))
    )
    place, other = free_place(), free_place()
    with closing(bound(place, socket.SOCK_STREAM)) as taken:
        taken.listen()
        found.apply(_opened(place, backend([servers[0].endpoint])))
        found.apply(_opened(other, backend([servers[2].endpoint])))
        assert await ask(other) == b"c"
        changed = backend([servers[1].endpoint])
        found.apply(Difference(opened={}, changed={place: changed}, closed=[]))
        await asyncio.sleep(0.05)  # a few tries
        assert found.open_places() == {other}
    await soon(lambda: place in found.open_places())
    assert await ask(place) == b"b"
    assert told == [(place, "another process listens there")]
    found.close()


async def test_place_that_is_wanted_no_longer_is_not_tried_again(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "RETRY_SECONDS", 0.01)
    found = Userspace(process.seams, random.Random(6), lambda *what: None)
    place = free_place()
    with closing(bound(place, socket.SOCK_STREAM)) as taken:
        taken.listen()
        found.apply(_opened(place, backend([])))
        found.apply(Difference(opened={}, changed={}, closed=[place]))
    await asyncio.sleep(0.05)  # the time of the next try
    assert not found.open_places()


async def test_listeners_are_bounded_by_the_descriptors_of_the_process() -> None:
    process = Process(descriptors=2)
    told: list[str] = []
    found = Userspace(
        process.seams, random.Random(6), lambda place, one, reason: told.append(reason)
    )
    for _ in range(3):
        found.apply(_opened(free_place(), backend([])))
    assert len(found.open_places()) == 2
    assert told == ["too many files are open: raise the limit of the process (ulimit -n)"]
    found.close()


@pytest.mark.parametrize(
    ("number", "port", "word"),
    [
        (errno.EACCES, 80, "CAP_NET_BIND_SERVICE"),
        (errno.EACCES, 8080, "Permission denied"),
        (errno.EADDRNOTAVAIL, 80, "none of this machine's"),
        (errno.EADDRINUSE, 80, "another process"),
        (errno.EMFILE, 80, "ulimit"),
    ],
)
def test_reason_says_what_would_help(number: int, port: int, word: str) -> None:
    error = OSError(number, "Permission denied")
    assert word in why(Place("127.96.0.1", port, "TCP"), error)


async def test_place_whose_port_is_none_keeps_nobody_from_theirs(
    process: Process, servers: list[Server]
) -> None:
    """A stranger wrote it past validation."""
    told: list[tuple[Place, str]] = []
    found = Userspace(
        process.seams, random.Random(6), lambda place, one, reason: told.append((place, reason))
    )
    place, none = free_place(), Place("127.0.0.1", 70_000, "TCP")
    one = backend([servers[0].endpoint])
    found.apply(Difference(opened={none: one, place: one}, changed={}, closed=[]))
    assert await ask(place) == b"a"
    assert told == [(none, "70000 is no port")]
    found.close()
