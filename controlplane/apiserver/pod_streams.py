"""/log, /exec, /attach and /portforward of pods: the agent of their node does it, and this server
passes on what is said, as it is.

Source: Kubernetes' API reference of Pod, "misc operations"; kubectl-needs.md, section 1;
kube-behaviour 10.7.
"""

from collections.abc import Mapping

import aiohttp

from controlplane.api import errors, podlogs, record
from controlplane.api.errors import ApiError
from controlplane.api.podlogs import LogOptions
from controlplane.api.types.core_v1 import Pod
from controlplane.apiserver.call import Call, CutError, Outgoing, Sink, Streaming, Upgrading
from controlplane.apiserver.incoming import Answer
from controlplane.apiserver.nodes import READ_BYTES, Nodes, Parameters, RefusalError, path_of
from controlplane.apiserver.reads import Reads
from controlplane.apiserver.watches import framed
from controlplane.peers import IDLE_SECONDS_MAX, linger
from controlplane.upgrades import Answered, Connection, leave, pipe

_TEXT = "text/plain"
_FLAGS = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}
"""Parameters here -> the agent's."""
_ASKED = (
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "upgrade",
    "x-stream-protocol-version",
)
_ANSWERED = (
    "sec-websocket-accept",
    "sec-websocket-protocol",
    "upgrade",
    "x-stream-protocol-version",
)


class PodStreams:
    """What of pods is no object."""

    def __init__(self, reads: Reads, nodes: Nodes) -> None:
        self._reads = reads
        self._nodes = nodes

    # -------------------------------------------------------------------- logs

    async def log(self, call: Call) -> Outgoing:
        """Raises ApiError 400, 404, 422, 500."""
        if call.incoming.method != "GET":
            raise errors.method_not_allowed(call.target.plural, "", call.incoming.method)
        query = call.incoming.query
        options = podlogs.log_options(query.text, lambda name: bool(query.texts(name)))
        pod = await self._pod(call)
        container = podlogs.chosen_container(pod, options.container)
        if not pod.spec.node_name:
            return Answer(content_type=_TEXT)  # it is nowhere, and has said nothing
        parameters = _log_parameters(pod, container, options)
        place = self._nodes.place(pod.spec.node_name)
        path = path_of("containerLogs", pod.metadata.namespace, pod.metadata.name, container)
        try:
            response = await self._nodes.open(place, path, parameters)
        except RefusalError as refusal:
            if options.is_previous and refusal.code == 404:
                raise podlogs.without_previous(pod, container) from None
            raise _without_log(refusal, pod, container) from None
        return Streaming(
            run=lambda sink: _copy(response, sink),
            content_type=_TEXT,
            # Whoever reads page by page reads for hours.
            stalled_seconds_max=IDLE_SECONDS_MAX,
            release=response.close,
        )

    # ---------------------------------------------------------------- commands

    async def exec(self, call: Call) -> Outgoing:
        """Raises ApiError 400, 404, 500."""
        command = [("command", one) for one in call.incoming.query.texts("command")]
        return await self._command(call, "exec", command)

    async def attach(self, call: Call) -> Outgoing:
        """Raises ApiError 400, 404, 500."""
        return await self._command(call, "attach", [])

    async def _command(self, call: Call, action: str, parameters: Parameters) -> Outgoing:
        query = call.incoming.query
        _require_upgrade(call)
        pod = await self._pod(call)
        container = podlogs.chosen_container(pod, query.text("container"))
        flags = [(agents, "1") for name, agents in _FLAGS.items() if query.flag(name)]
        parts = (action, pod.metadata.namespace, pod.metadata.name, container)
        return await self._upgraded(call, pod, path_of(*parts), [*parameters, *flags])

    async def port_forward(self, call: Call) -> Outgoing:
        """Raises ApiError 400, 404, 500."""
        _require_upgrade(call)
        pod = await self._pod(call)
        path = path_of("portForward", pod.metadata.namespace, pod.metadata.name)
        return await self._upgraded(call, pod, path, [])

    async def _upgraded(self, call: Call, pod: Pod, path: str, parameters: Parameters) -> Outgoing:
        name = pod.metadata.name
        if not pod.spec.node_name:
            raise errors.bad_request(f"pod {name} does not have a host assigned")
        place = self._nodes.place(pod.spec.node_name)
        asked = _headers(call.incoming.headers, _ASKED)
        method = call.incoming.method
        uid = ("uid", pod.metadata.uid)
        try:
            answered = await self._nodes.upgrade(place, method, path, [*parameters, uid], asked)
        except RefusalError as refusal:
            if refusal.code < 400:
                raise errors.internal(f"the agent answers {refusal.code}") from None
            # As the agent says it: kubectl prints the text.
            return Answer(code=refusal.code, body=refusal.body, content_type=_TEXT)
        return Upgrading(
            headers=tuple(_headers(answered.headers, _ANSWERED)),
            run=lambda connection: _join(connection, answered),
            release=answered.writer.close,
        )

    async def _pod(self, call: Call) -> Pod:
        return record.from_object(Pod, await self._reads.object(call))


def _log_parameters(pod: Pod, container: str, options: LogOptions) -> Parameters:
    parameters = [*options.query, ("uid", pod.metadata.uid)]
    if options.is_previous:
        parameters.append(("containerID", podlogs.previous_id(pod, container)))
    return parameters


def _without_log(refusal: RefusalError, pod: Pod, container: str) -> ApiError:
    match refusal.code:
        case 400:
            return errors.bad_request(refusal.text)
        case 404:  # it has not begun, as far as the node knows
            return podlogs.without_log(pod, container)
        case 429:
            return errors.too_many_requests(refusal.text)
        case _:
            return errors.internal(refusal.text)


async def _copy(response: aiohttp.ClientResponse, sink: Sink) -> None:
    """Raises CutError: the agent has gone in the midst of it; StalledError."""
    try:
        while part := await response.content.read(READ_BYTES):
            sink.write(framed(part))
            await sink.drained()
    except aiohttp.ClientError as error:
        raise CutError(str(error)) from None


async def _join(client: Connection, answered: Answered) -> None:
    """Until either has gone, and the other has taken what was said: a client however late."""
    agent = (answered.reader, answered.writer)
    try:
        await pipe(client, agent)
    finally:
        await leave(answered.writer)
    await linger(client, seconds=0)


def _require_upgrade(call: Call) -> None:
    header = call.incoming.header
    if "upgrade" not in header("connection").lower() or not header("upgrade"):
        raise errors.bad_request("Upgrade request required")


def _headers(found: Mapping[str, str], names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Those that are there, each value of a repeated one by itself, for a connection that is to
    leave HTTP."""
    kept = [(name, value) for name in names if name in found for value in found[name].split("\n")]
    return [("Connection", "Upgrade"), *kept]
