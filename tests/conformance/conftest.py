"""Targets and servers of the conformance suite.

Every test that takes `client` (or another server fixture) runs once per target. Servers are shared:
a test keeps to its own `prefix` and asserts revisions relative to what it wrote; the few that need
an empty store, another quota or dead members ask for a cluster of their own.
"""

import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterator
from itertools import count
from pathlib import Path

import pytest

from kvstore.testing.processes import ETCD, KEELSON, ClusterProcesses
from tests.conformance.client import (
    NOTES,
    BidirectionalStream,
    Client,
    KeepAliveStream,
    WatchStream,
)
from tests.conformance.coverage_table import claims_of

PROGRAMS = {"etcd": ETCD, "keelson": KEELSON}
StartCluster = Callable[..., ClusterProcesses]
# A crowded machine may hold a member up for a second: no leadership shall be lost by that alone.
PATIENCE = ("--heartbeat-interval=200", "--election-timeout=2000")

_prefix_numbers = count(1)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "covers(*rows): rows of COVERAGE.md that this case proves (checked as it runs)"
    )
    config.addinivalue_line("markers", "slow: takes seconds by nature (expiry, quorum loss)")
    config.addinivalue_line(
        "markers", "oracle_fault(reason): etcd 3.4 itself is wrong here; runs against ours only"
    )


def why_not_runnable(target: str) -> str | None:
    """None when the target's program starts, else what is wrong."""
    command = [*PROGRAMS[target], "--version"]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=120, check=False)
    except FileNotFoundError:
        return f"{command[0]} is not installed"
    if ended.returncode != 0:
        reason = ended.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return f"`{' '.join(command)}` fails: {''.join(reason)}"
    return None


@pytest.fixture(scope="package", params=list(PROGRAMS))
def target(request: pytest.FixtureRequest) -> str:
    """`etcd` or `keelson`."""
    name = str(request.param)
    wanted = request.config.getoption("--target", default=None)
    if wanted not in (None, name):
        pytest.skip(f"--target {wanted}")
    reason = why_not_runnable(name)
    if reason is not None:
        pytest.skip(reason)
    return name


@pytest.fixture(scope="package")
def server_folder() -> Iterator[Path]:
    """Data folders; in memory where the system has such a place: durability is tested elsewhere."""
    shared_memory = Path("/dev/shm")
    parent = shared_memory if shared_memory.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="conformance-", dir=parent) as folder:
        yield Path(folder)


def _clusters(target: str, folder: Path) -> Iterator[StartCluster]:
    started: list[ClusterProcesses] = []

    def start(*, members: int = 1, flags: tuple[str, ...] = ()) -> ClusterProcesses:
        name = f"{target}-{next(_prefix_numbers)}"
        cluster = ClusterProcesses(PROGRAMS[target], folder / name, count=members, flags=flags)
        started.append(cluster)
        cluster.start()
        return cluster

    yield start
    for cluster in started:
        cluster.kill()


@pytest.fixture(scope="package")
def start_shared_cluster(target: str, server_folder: Path) -> Iterator[StartCluster]:
    yield from _clusters(target, server_folder)


@pytest.fixture
def start_cluster(target: str, server_folder: Path) -> Iterator[StartCluster]:
    """Start a cluster of the test's own; killed at its end."""
    yield from _clusters(target, server_folder)


@pytest.fixture(scope="package")
def single(start_shared_cluster: StartCluster) -> ClusterProcesses:
    """The one member that most cases share."""
    return start_shared_cluster()


@pytest.fixture(scope="package")
def shared_trio(start_shared_cluster: StartCluster) -> ClusterProcesses:
    return start_shared_cluster(members=3, flags=PATIENCE)


@pytest.fixture
def trio(shared_trio: ClusterProcesses) -> Iterator[ClusterProcesses]:
    """Three members; a test may kill or pause some, they run again for the next."""
    yield shared_trio
    for member in shared_trio.members:
        if member.is_running:
            member.resume()
        else:
            shared_trio.start_member(member)
    shared_trio.wait_ready()


@pytest.fixture
def connect() -> Iterator[Callable[[str], Client]]:
    """Open a client to an endpoint; closed at the test's end."""
    clients: list[Client] = []

    def open_client(endpoint: str) -> Client:
        clients.append(Client(endpoint))
        return clients[-1]

    yield open_client
    for client in clients:
        client.close()


@pytest.fixture(scope="package")
def shared_client(single: ClusterProcesses) -> Iterator[Client]:
    client = Client(single.endpoints[0])
    yield client
    client.close()


@pytest.fixture
def client(shared_client: Client) -> Client:
    """A connection to the shared member."""
    return shared_client


@pytest.fixture
def fresh(start_cluster: StartCluster, connect: Callable[[str], Client]) -> Client:
    """A connection to a member with an empty store."""
    return connect(start_cluster().endpoints[0])


@pytest.fixture
def followers(trio: ClusterProcesses, connect: Callable[[str], Client]) -> list[Client]:
    """Connections to the two followers of `trio`."""
    trio.wait_ready()
    leader = trio.leader()
    return [connect(member.endpoint) for member in trio.members if member is not leader]


@pytest.fixture
def leader(trio: ClusterProcesses, connect: Callable[[str], Client]) -> Client:
    """A connection to the leader of `trio`."""
    trio.wait_ready()
    member = trio.leader()
    assert member is not None
    return connect(member.endpoint)


@pytest.fixture
def open_watch() -> Iterator[Callable[..., WatchStream]]:
    """Open watch streams; cancelled at the test's end."""
    streams: list[BidirectionalStream] = []

    def open_stream(client: Client, **options: object) -> WatchStream:
        stream = WatchStream(client, **options)  # type: ignore[arg-type]
        streams.append(stream)
        return stream

    yield open_stream
    for stream in streams:
        stream.close()


@pytest.fixture
def watch(open_watch: Callable[..., WatchStream], client: Client) -> WatchStream:
    """A watch stream on the shared member."""
    return open_watch(client)


@pytest.fixture
def keep_alive(client: Client) -> Iterator[KeepAliveStream]:
    """A keep-alive stream on the shared member."""
    stream = KeepAliveStream(client)
    yield stream
    stream.close()


@pytest.fixture
def prefix() -> bytes:
    """A key prefix that no other test uses; ends in `/`, so [prefix, prefix+0) is its range."""
    return b"case-%05d/" % next(_prefix_numbers)


@pytest.fixture
def lease_id() -> int:
    """A lease id that no other test chooses."""
    return 7_000_000 + next(_prefix_numbers)


@pytest.fixture(autouse=True)
def _skip_where_the_oracle_is_wrong(request: pytest.FixtureRequest) -> None:
    fault = request.node.get_closest_marker("oracle_fault")
    if fault is not None and request.getfixturevalue("target") == "etcd":
        pytest.skip(f"etcd 3.4: {fault.args[0]}")


@pytest.fixture(autouse=True)
def _claims_are_kept(request: pytest.FixtureRequest) -> Iterator[None]:
    """A case must have sent the fields and met the errors that its `covers` marker claims."""
    NOTES.clear()
    yield
    claims = set(claims_of(request.node))
    missing = {claim for claim in claims if claim not in NOTES.sent | NOTES.refused}
    passed = getattr(request.node, "call_passed", False)
    assert not passed or not missing, f"claimed, but neither sent nor met: {sorted(missing)}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" and report.passed:
        item.call_passed = True  # type: ignore[attr-defined]
    return report
