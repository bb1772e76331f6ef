"""What nodes and pods use, as `kubectl top` asks for it: agents are asked when somebody asks.

Source: Kubernetes' documentation, "Resource metrics pipeline".
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator

import orjson

from controlplane.api import errors
from controlplane.api.errors import ApiError
from controlplane.api.resource import Object
from controlplane.apiserver import lists, usage_objects
from controlplane.apiserver.cache import ObjectCache
from controlplane.apiserver.call import Call, Outgoing, answer
from controlplane.apiserver.lists import Page
from controlplane.apiserver.nodes import Nodes, RefusalError
from controlplane.apiserver.recent import Entry
from controlplane.apiserver.selection import selection_of
from controlplane.apiserver.usage_objects import Summary

FRESH_SECONDS = 5.0
"""Whoever asks again sooner is told the same."""
ASKED_MAX = 20  # agents at once

_log = logging.getLogger(__name__)


class Usage:
    """Handlers of metrics.k8s.io. cache: what there is now"""

    def __init__(
        self, nodes: Nodes, cache: Callable[[], ObjectCache], now: Callable[[], float]
    ) -> None:
        self._summaries = _Summaries(nodes)
        self._cache = cache
        self._now = now

    async def one(self, call: Call) -> Outgoing:
        """Raises ApiError 404: there is no such node or pod, or nothing is known of it yet."""
        found = await self._found(call)
        if found:
            return answer(call, found[0])
        target = call.target
        whom = f"{target.namespace}/{target.name}" if target.namespace else target.name
        raise errors.not_found(call.resource.kind.lower(), call.resource.group, whom)

    async def every(self, call: Call) -> Outgoing:
        """Of those nodes or pods of which something is known."""
        raws = [orjson.dumps(one) for one in await self._found(call)]
        return lists.answer(call, Page(raws=raws, revision=self._cache().revision))

    async def _found(self, call: Call) -> list[Object]:
        entries = {_place(one): one for one in self._entries(call)}
        if call.resource.plural == "nodes":
            return await self._of_nodes(entries)
        return await self._of_pods(entries)

    def _entries(self, call: Call) -> Iterator[Entry]:
        """The nodes or pods that are meant."""
        selection = selection_of(call.resource, call.target, call.incoming)
        place = f"{call.target.namespace}/" if call.target.namespace else ""
        prefix = f"/registry/core/{call.resource.plural}/{place}"
        for one in self._cache().of("", call.resource.plural).scan(prefix):
            # The same object, but for what only its own kind has.
            if selection.matches(Entry("", b"", one.revision, one.labels, one.fields)):
                yield one

    async def _of_nodes(self, entries: dict[tuple[str, str], Entry]) -> list[Object]:
        found = await self._summaries.of(name for _, name in entries)
        every = (
            usage_objects.node_metrics(name, entry.labels, found[name], self._now())
            for (_, name), entry in entries.items()
            if name in found
        )
        return [one for one in every if one is not None]

    async def _of_pods(self, entries: dict[tuple[str, str], Entry]) -> list[Object]:
        nodes = {_node_of(one) for one in entries.values()} - {""}
        told = usage_objects.pods_of(await self._summaries.of(nodes))
        every = (
            usage_objects.pod_metrics(entry.labels, used, self._now())
            for place, entry in entries.items()
            if (used := told.get((_node_of(entry), *place))) is not None
        )
        return [one for one in every if one is not None]


class _Summaries:
    """What agents have said a moment ago."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._turns = asyncio.Semaphore(ASKED_MAX)
        self._kept: dict[str, tuple[float, Summary | None]] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def of(self, names: Iterable[str]) -> dict[str, Summary]:
        """By node, of those whose agents have answered."""
        wanted, now = set(names), time.monotonic()
        self._kept = {
            name: kept for name, kept in self._kept.items() if kept[0] > now - FRESH_SECONDS
        }
        # Who gives up must not take away what others wait for.
        await asyncio.gather(
            *(asyncio.shield(self._asked(name)) for name in wanted - self._kept.keys())
        )
        return {
            name: summary
            for name in wanted & self._kept.keys()
            if (summary := self._kept[name][1]) is not None
        }

    def _asked(self, name: str) -> "asyncio.Task[None]":
        """Whoever asks for the same waits for the same."""
        task = self._asking.get(name)
        if task is None:
            task = self._asking[name] = asyncio.create_task(self._ask(name))
            task.add_done_callback(lambda _: self._asking.pop(name))
        return task

    async def _ask(self, name: str) -> None:
        summary = None
        async with self._turns:
            try:
                told = await self._nodes.summary(self._nodes.place(name))
                summary = usage_objects.summary_of(told)
            except (ApiError, RefusalError) as error:
                _log.debug("what is used on %s is not known: %s", name, error)
        self._kept[name] = (time.monotonic(), summary)


def _node_of(entry: Entry) -> str:
    """That a pod is bound to; empty: to none."""
    return entry.fields.get("spec.nodeName", "")


def _place(entry: Entry) -> tuple[str, str]:
    """Namespace (of a node: its plural) and name, by the key."""
    *_, place, name = entry.key.split("/")
    return place, name
