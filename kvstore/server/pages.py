"""The pages that a member serves to a plain HTTP GET: /metrics, /health, /version, as etcd's.

Knows the node and the names of etcd's metrics; no HTTP beyond a status and a content type.
"""

import json
import resource
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from kvstore.errors import KvError
from kvstore.server.client_port import Page
from kvstore.server.maintenance import API_VERSION
from kvstore.server.node import Node

_JSON = "application/json"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class MemberPages:
    """Pages of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._started = time.time()
        self._leader_changes = 0
        node.on_leader_change.append(self._count_leader)

    def get(self, path: str, reply: Callable[[Page], None]) -> None:
        """Call `reply` with the page at `path`, now or once it is known."""
        match path:
            case "/metrics":
                reply(Page(HTTPStatus.OK, _METRICS, self._metrics().encode()))
            case "/version":
                versions = {"etcdserver": API_VERSION, "etcdcluster": API_VERSION}
                reply(Page(HTTPStatus.OK, _JSON, _json(versions)))
            case "/health":
                self._health(reply)
            case _:
                reply(Page(HTTPStatus.NOT_FOUND, "text/plain", b"404 page not found\n"))

    def _health(self, reply: Callable[[Page], None]) -> None:
        """As etcd: no alarm, a leader, and a linearizable read that works."""

        def done(error: KvError | None) -> None:
            is_healthy = error is None and not self._node.machine.alarms
            status = HTTPStatus.OK if is_healthy else HTTPStatus.SERVICE_UNAVAILABLE
            reply(Page(status, _JSON, _json({"health": "true" if is_healthy else "false"})))

        self._node.read_index(done)

    def _count_leader(self) -> None:
        self._leader_changes += 1

    def _metrics(self) -> str:
        node = self._node
        store = node.machine.store
        process = resource.getrusage(resource.RUSAGE_SELF)
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()
        page_bytes = resource.getpagesize()
        gauges = {
            "etcd_server_has_leader": int(bool(node.leader_id)),
            "etcd_server_is_leader": int(node.is_leader),
            "etcd_server_proposals_committed_total": node.raft.commit_index,
            "etcd_server_proposals_applied_total": node.machine.applied_index,
            "etcd_mvcc_db_total_size_in_bytes": node.db_size,
            "etcd_mvcc_db_total_size_in_use_in_bytes": node.db_size_in_use,
            "etcd_debugging_mvcc_current_revision": store.revision,
            "etcd_debugging_mvcc_compact_revision": max(0, store.compact_revision),
            "keelson_wal_bytes": node.storage.wal_bytes,
            "keelson_snapshot_bytes": node.storage.snapshot_bytes,
            "process_resident_memory_bytes": int(pages[1]) * page_bytes,
            "process_virtual_memory_bytes": int(pages[0]) * page_bytes,
            "process_open_fds": sum(1 for _ in Path("/proc/self/fd").iterdir()),
            "process_max_fds": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            "process_start_time_seconds": round(self._started, 3),
        }
        counters = {
            "etcd_server_leader_changes_seen_total": self._leader_changes,
            "process_cpu_seconds_total": round(process.ru_utime + process.ru_stime, 3),
        }
        return _text("gauge", gauges) + _text("counter", counters)


def _text(kind: str, values: dict[str, int] | dict[str, float]) -> str:
    """Prometheus' text format."""
    return "".join(f"# TYPE {name} {kind}\n{name} {value}\n" for name, value in values.items())


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
