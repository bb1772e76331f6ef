"""docs/behaviour.md: for each behaviour of Kubernetes that is promised, the tests that name it.

A test names a row by its number: in its own docstring, in a comment, or in the second argument of
a `scenario`. What no test names is listed as open.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "docs/behaviour.md"
FOLDERS = ("tests/controlplane", "tests/e2e", "tests/cluster", "examples")
SHOWN_MAX = 4

ROWS = {
    "1.1": "discovery, aggregated and not",
    "1.2": "Tables, wide columns, Table watches",
    "1.3": "OpenAPI v3 before apply, create and replace",
    "1.4": "explain",
    "1.5": "bodies in protobuf",
    "1.6": "the requests of run, expose, scale, set, rollout, label, delete",
    "1.9": "what describe, drain and wait ask",
    "1.10": "rollout undo and history",
    "1.12": "HTTP/1.1",
    "2.1": "paths and verbs",
    "2.2": "resourceVersion of reads",
    "2.3": "optimistic locking",
    "2.4": "watches: every change once, in order",
    "2.5": "bookmarks",
    "2.6": "streaming lists",
    "2.7": "410 for what is compacted",
    "2.8": "limit and continue",
    "2.9": "generateName",
    "2.10": "dry run",
    "2.11": "field validation",
    "2.12": "metadata that the server sets, and its bounds",
    "2.13": "/status and /scale",
    "2.14": "patches",
    "2.15": "server-side apply",
    "2.16": "finalizers and graceful deletion",
    "2.17": "propagation policy",
    "2.18": "Status of failures",
    "2.19": "validation, all errors at once",
    "2.20": "selectors",
    "2.21": "YAML and protobuf on request",
    "2.22": "health, version, metrics, keys",
    "2.23": "limits of requests in flight and time",
    "3.1": "namespaces",
    "3.2": "garbage collection",
    "3.3": "clean-up of pods that have ended or are lost",
    "3.4": "ControllerRevisions",
    "3.5": "events and their aggregation",
    "3.6": "leader election by Lease",
    "4.1": "replica sets: how many, whose, which go first",
    "4.2": "defaults of deployments",
    "4.3": "surge and unavailable",
    "4.4": "steps of a roll-out, and scaling in the middle of one",
    "4.5": "pod-template-hash",
    "4.6": "revisions, roll-back and history",
    "4.7": "conditions and the progress deadline",
    "4.8": "Recreate, and paused",
    "4.9": "stateful sets, as objects: who carries them out is open",
    "4.10": "daemon sets, as objects: who carries them out is open",
    "4.11": "jobs: exact accounting, back-off, failures",
    "4.12": "indexed jobs",
    "4.13": "suspend, time to live, failure policies",
    "4.14": "cron jobs, as objects: who carries them out is open",
    "4.15": "autoscalers, as objects: who carries them out is open",
    "4.16": "replication controllers",
    "5.1": "types of services and their policies",
    "5.2": "cluster IPs",
    "5.3": "node ports",
    "5.4": "endpoint slices and Endpoints",
    "5.5": "DNS",
    "5.6": "the service proxy",
    "6.1": "heartbeats of nodes",
    "6.2": "nodes that are not heard of",
    "6.3": "taints and eviction",
    "6.4": "taints of conditions",
    "6.5": "cordon, drain, addresses of pods",
    "7.1": "queues of the scheduler",
    "7.2": "binding, and what is told",
    "7.3": "filters",
    "7.4": "scores",
    "7.5": "topology spread",
    "7.6": "how many nodes are scored",
    "7.7": "preemption",
    "7.8": "profiles and plug-ins",
    "8.1": "disruption budgets and eviction",
    "8.2": "resource quotas",
    "8.3": "limit ranges",
    "8.4": "priority classes",
    "8.6": "QoS classes",
    "10.1": "phases and conditions of pods",
    "10.2": "init containers",
    "10.3": "sidecars",
    "10.4": "restarts, and images that cannot be had",
    "10.5": "probes",
    "10.6": "termination",
    "10.7": "logs, exec, attach, port-forward",
    "11.1": "authentication and impersonation",
    "11.2": "service account tokens",
    "11.3": "RBAC, aggregation, no escalation",
    "11.4": "order of admission",
    "11.7": "custom resources",
    "11.9": "flow control",
    "11.10": "audit log",
    "11.11": "back-off of work queues",
}
"""Own words for the rows of Kubernetes' behaviour that concern us; their numbers are ours."""

_NUMBER = re.compile(r"(?<![\d.])(\d{1,2}\.\d{1,2})(?!\.?\d|%)")
_COMMENT = re.compile(r"#(.*)$")


def named_in(text: str) -> set[str]:
    """Rows whose numbers stand in a text."""
    return {number for number in _NUMBER.findall(text) if number in ROWS}


def tests_of(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Each test or scenario of a file, and the rows that it names."""
    text = path.read_text()
    lines = text.splitlines()
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("test_"):
                yield node.name, _of_function(node, lines)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "scenario":
            words = [one.value for one in node.args[:2] if isinstance(one, ast.Constant)]
            if len(words) == 2:
                yield str(words[0]), named_in(str(words[1]))


def _of_function(node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> set[str]:
    found = named_in(ast.get_docstring(node) or "")
    first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
    before = lines[first - 2 : first - 1]  # a comment right above it
    for line in [*before, *lines[first - 1 : node.end_lineno]]:
        comment = _COMMENT.search(line)
        if comment:
            found |= named_in(comment[1])
    return found


def document() -> str:
    """The whole page."""
    tests: dict[str, list[str]] = {number: [] for number in ROWS}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            place = path.relative_to(ROOT).with_suffix("").as_posix()
            for name, rows in tests_of(path):
                for row in rows:
                    tests[row].append(f"`{place.removeprefix('tests/')}`: {name}")
    lines = [
        "# Behaviour",
        "",
        "What of Kubernetes' behaviour is promised, and the tests that show it; made by",
        "`scripts/behaviour` from the numbers that tests name. A row without a test is open.",
        "",
        "| row | behaviour | tests |",
        "|---|---|---|",
    ]
    for number, title in ROWS.items():
        lines.append(f"| {number} | {title} | {_told(tests[number])} |")
    missing = [number for number in ROWS if not tests[number]]
    lines += ["", f"Open: {', '.join(missing) or 'none'}.", ""]
    return "\n".join(lines)


def _told(tests: list[str]) -> str:
    if not tests:
        return "**open**"
    more = f"; {len(tests) - SHOWN_MAX} more" if len(tests) > SHOWN_MAX else ""
    return "; ".join(sorted(tests)[:SHOWN_MAX]) + more


if __name__ == "__main__":
    TARGET.write_text(document())
