"""Namespaces and the switch between them, with real sockets: what passes, and what does not.

That something did not arrive shows by what arrives in its place: on a link without jitter no frame
overtakes another.
"""

import hashlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvstore.errors import ConfigError
from kvstore.testing.rigs import networks
from kvstore.testing.rigs.links import Counts
from kvstore.testing.rigs.networks import Networks
from kvstore.testing.rigs.requirements import RigError, missing

pytestmark = pytest.mark.skipif(
    bool(missing(networks.PROGRAMS)), reason=missing(networks.PROGRAMS) or "-"
)

_PORT = 7_000
_SECONDS_MAX = 60.0  # until a hanging test fails
_NAMESPACES = Path("/run/netns")
_MEGABYTE = 1_000_000


@pytest.fixture
def net() -> Iterator[Networks]:
    with Networks(["a", "b", "c"]) as net:
        yield net


class _Post:
    """A UDP socket in each namespace."""

    def __init__(self, net: Networks) -> None:
        self._net = net
        self._sockets = {}
        for name in "abc":
            with net.entered(name):
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * _MEGABYTE)
            sock.bind((net.address_of(name), _PORT))
            sock.settimeout(_SECONDS_MAX)
            self._sockets[name] = sock

    def send(self, source: str, target: str, text: str) -> None:
        self._sockets[source].sendto(text.encode(), (self._net.address_of(target), _PORT))

    def next(self, target: str) -> str:
        return self._sockets[target].recv(100).decode()

    def until(self, target: str, last: str) -> list[str]:
        """All that arrives, up to and without `last`."""
        return list(iter(lambda: self.next(target), last))

    def close(self) -> None:
        for sock in self._sockets.values():
            sock.close()


@pytest.fixture
def post(net: Networks) -> Iterator[_Post]:
    post = _Post(net)
    yield post
    post.close()


def test_everybody_reaches_everybody(post: _Post) -> None:
    for source in "abc":
        for target in "abc".replace(source, ""):
            post.send(source, target, f"{source} to {target}")
            assert post.next(target) == f"{source} to {target}"


def test_a_cut_is_of_one_direction_of_one_link(net: Networks, post: _Post) -> None:
    net.set("a", "b", cut=True)
    post.send("a", "b", "lost")
    post.send("b", "a", "back")
    post.send("a", "c", "aside")
    assert (post.next("a"), post.next("c")) == ("back", "aside")
    net.heal()
    post.send("a", "b", "healed")
    assert post.next("b") == "healed"


def test_faults_replace_the_ones_before(net: Networks, post: _Post) -> None:
    net.set("a", "b", cut=True)
    net.set("a", "c", cut=True)
    net.set("a", "b")
    post.send("a", "c", "lost")
    post.send("a", "b", "passes")
    assert post.next("b") == "passes"
    net.set("a", "c", duplication=1.0)
    post.send("a", "c", "twice")
    assert [post.next("c"), post.next("c")] == ["twice", "twice"]


def test_loss_takes_its_share(net: Networks, post: _Post) -> None:
    net.set("a", "b", loss=0.5)
    for number in range(1_000):
        post.send("a", "b", str(number))
    net.heal()
    post.send("a", "b", "end")
    arrived = [int(text) for text in post.until("b", "end")]
    assert 300 < len(arrived) < 700
    assert arrived == sorted(arrived)


def test_what_is_delayed_arrives_late(net: Networks, post: _Post) -> None:
    net.set("a", "b", delay_seconds=0.3)
    post.send("a", "b", "delayed")
    net.heal()
    post.send("a", "b", "at once")
    assert [post.next("b"), post.next("b")] == ["at once", "delayed"]


def test_delay_keeps_the_order_and_jitter_does_not(net: Networks, post: _Post) -> None:
    texts = [str(number) for number in range(200)]
    net.set("a", "b", delay_seconds=0.02)
    for text in texts:
        post.send("a", "b", text)
    assert [post.next("b") for _ in texts] == texts
    net.set("a", "b", jitter_seconds=0.1)
    for text in texts:
        post.send("a", "b", text)
    arrived = [post.next("b") for _ in texts]
    assert arrived != texts
    assert sorted(arrived) == sorted(texts)


def test_tcp_carries_megabytes_whole_over_a_bad_link(net: Networks) -> None:
    """Segments of many kilobytes without a checksum, as one machine makes them."""
    for source, target in (("a", "b"), ("b", "a")):
        net.set(source, target, loss=0.01, jitter_seconds=0.002, duplication=0.05)
    data = os.urandom(20 * _MEGABYTE)
    with net.entered("b"):
        listener = socket.create_server((net.address_of("b"), _PORT))
    listener.settimeout(_SECONDS_MAX)
    with net.entered("a"):
        client = socket.create_connection((net.address_of("b"), _PORT), timeout=_SECONDS_MAX)
    with listener, client:
        server, _ = listener.accept()
        server.settimeout(_SECONDS_MAX)

        def send() -> None:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)

        sending = threading.Thread(target=send)
        sending.start()
        digest = hashlib.sha256()
        with server:
            while part := server.recv(_MEGABYTE):
                digest.update(part)
        sending.join()
    assert digest.digest() == hashlib.sha256(data).digest()


def test_a_process_runs_in_its_namespace_under_its_own_id(net: Networks) -> None:
    program = "import os, socket; print(os.getpid(), [name for _, name in socket.if_nameindex()])"
    child = subprocess.Popen(
        [*net.command_prefix("b"), sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    )
    said, _ = child.communicate(timeout=_SECONDS_MAX)
    assert said.strip() == f"{child.pid} ['lo', 'eth0']"


def test_the_host_is_out_of_reach(net: Networks) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        _, port = listener.getsockname()
        with net.entered("a"), pytest.raises(OSError, match=r"refused|unreachable"):
            socket.create_connection(("127.0.0.1", port), timeout=_SECONDS_MAX)
        socket.create_connection(("127.0.0.1", port), timeout=_SECONDS_MAX).close()


def test_nothing_is_left_after_an_exception() -> None:
    own = f"*-{os.getpid()}-*"

    def fail_within() -> None:
        with Networks(["a", "b"]):
            assert len(list(_NAMESPACES.glob(own))) == 3
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_within()
    assert not list(_NAMESPACES.glob(own))


def test_frames_that_fare_badly_are_counted_by_direction(net: Networks, post: _Post) -> None:
    net.set("a", "b", cut=True)
    net.set("b", "a", delay_seconds=0.01)
    net.set("a", "c", duplication=1.0)
    before = net.counts([("a", "b")])
    for text in ("one", "two", "three"):
        post.send("a", "b", text)
    post.send("b", "a", "late")
    post.send("a", "c", "twice")
    post.send("b", "c", "well")
    assert post.next("a") == "late"
    assert post.until("c", "well") == ["twice", "twice"]
    net.heal()
    post.send("a", "b", "healed")
    assert post.next("b") == "healed"
    assert net.counts([("a", "b")]).plus(before, -1) == Counts(dropped=3)
    assert net.counts([("b", "a")]) == Counts(delayed=1)
    assert net.counts([("a", "c")]) == Counts(doubled=1)
    assert net.counts([("b", "c"), ("c", "b")]) == Counts()
    assert net.counts([("a", "b"), ("a", "c")]) == Counts(dropped=3, doubled=1)


def test_what_a_killed_run_left_is_removed_by_the_next() -> None:
    program = (
        "import os, signal\n"
        "from kvstore.testing.rigs.networks import Networks\n"
        "Networks(['a']).__enter__()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program])
    child.wait(_SECONDS_MAX)
    assert list(_NAMESPACES.glob(f"*-{child.pid}-*"))
    with Networks(["a"]):
        assert not list(_NAMESPACES.glob(f"*-{child.pid}-*"))


def test_no_link_can_lose_more_than_everything(net: Networks) -> None:
    with pytest.raises(ConfigError, match="loss is 2: give a share from 0 to 1"):
        net.set("a", "b", loss=2)


def test_a_switch_that_has_ended_is_told(net: Networks) -> None:
    assert net._switch is not None
    net._switch.kill()
    net._switch.wait()
    with pytest.raises(RigError, match="the switch"):
        net.heal()
