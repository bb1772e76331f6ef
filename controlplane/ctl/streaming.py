"""Commands that pass on what a pod says: logs, and exec, which passes on what is said to it too."""

import asyncio
import base64
import secrets
import sys
from typing import BinaryIO
from urllib.parse import quote, urlencode, urlsplit

import orjson

from controlplane.ctl import terminal
from controlplane.ctl.errors import CtlError, StatusError
from controlplane.ctl.session import Session
from controlplane.peers import READ_BYTES
from controlplane.streams import channels, remote_command
from controlplane.streams.channels import ChannelClient
from controlplane.streams.violations import ViolationError
from controlplane.streams.websocket import accept_of
from controlplane.upgrades import Answered, CallError, body_of, call, leave, send

_REFUSAL_BYTES_MAX = 50_000
_KEY_BYTES, _MASK_BYTES = 16, 4  # RFC 6455, 4.1 and 5.3
_ACCEPT = "sec-websocket-accept"
_VERSION = "13"


async def logs(session: Session) -> None:
    """Print the log of a container of a pod, and with --follow what comes."""
    options = session.options
    path = _path(session, "log")
    numbers = {
        "tailLines": options.tail,
        "limitBytes": options.limit_bytes or -1,
        "sinceSeconds": round(options.since) or -1,
    }
    flags = {
        "follow": options.follow,
        "previous": options.previous,
        "timestamps": options.timestamps,
    }
    query = {name: "true" for name, is_set in flags.items() if is_set}
    query |= {name: str(number) for name, number in numbers.items() if number >= 0}
    if options.container:
        query["container"] = options.container
    async for part in session.client.stream(path, query):
        _write(sys.stdout.buffer, part)


async def exec_(session: Session) -> None:
    """Run a command in a container of a pod; its exit code is cpctl's."""
    options = session.options
    if not options.command:
        raise CtlError("error: you must specify at least one command for the container")
    has_terminal = options.tty and options.stdin and sys.stdin.isatty()
    asked = [
        *(("command", one) for one in options.command),
        *([("container", options.container)] if options.container else []),
        ("stdin", str(options.stdin).lower()),
        ("stdout", "true"),
        ("stderr", str(not options.tty).lower()),
        ("tty", str(options.tty).lower()),
    ]
    answered = await _upgraded(session, f"{_path(session, 'exec')}?{urlencode(asked)}")
    exchange = _Exchange(answered)
    with terminal.raw(sys.stdin.fileno() if has_terminal else None, exchange.resize):
        status = await exchange.run(has_stdin=options.stdin)
    _end(session, status)


def _path(session: Session, below: str) -> str:
    words = [word.removeprefix("pod/").removeprefix("pods/") for word in session.options.words]
    if len(words) != 1:
        raise CtlError(f"error: expected '{below} POD', and nothing else")
    return f"/api/v1/namespaces/{quote(session.namespace)}/pods/{quote(words[0])}/{below}"


async def _upgraded(session: Session, path: str) -> Answered:
    access = session.client.access
    server = urlsplit(access.server)
    port = server.port or (80 if access.tls is None else 443)
    key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
    headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", _VERSION),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Protocol", channels.V5),
        ("User-Agent", "cpctl"),
    ]
    if access.token:
        headers.append(("Authorization", f"Bearer {access.token}"))
    place = (server.hostname or "", port)
    try:
        answered = await call(place, access.tls, "GET", server.path.rstrip("/") + path, headers)
    except CallError as error:
        raise CtlError(f"Unable to connect to the server: {error}") from None
    if answered.status == 101 and answered.headers.get(_ACCEPT) == accept_of(key):
        return answered
    body = await body_of(answered, _REFUSAL_BYTES_MAX)
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        told = body.decode(errors="replace").strip()
        raise CtlError(f"error: unable to upgrade connection: {told}") from None
    raise StatusError(status)


class _Exchange:
    """What is said to a command and by it."""

    def __init__(self, answered: Answered) -> None:
        self._reader, self._writer = answered.reader, answered.writer
        self._channels = ChannelClient(lambda: secrets.token_bytes(_MASK_BYTES))
        self._status: bytes | None = None

    def resize(self, columns: int, rows: int) -> None:
        """The terminal has this size now."""
        size = orjson.dumps({"Width": columns, "Height": rows})
        self._channels.write(channels.RESIZE, size)
        if not self._writer.is_closing():
            self._writer.write(self._channels.take())

    async def run(self, *, has_stdin: bool) -> bytes | None:
        """Until it has ended; its Status, None: the connection has ended without."""
        feeding = asyncio.create_task(self._feed()) if has_stdin else None
        try:
            while self._status is None and (data := await self._reader.read(READ_BYTES)):
                for channel, part in self._channels.receive(data):
                    self._take(channel, part)
                await send(self._writer, self._channels.take())
        except (OSError, ViolationError) as error:
            raise CtlError(f"error: the connection to the command is lost: {error}") from None
        finally:
            if feeding is not None:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)
            await leave(self._writer)
        return self._status

    def _take(self, channel: int, part: bytes) -> None:
        match channel:
            case channels.STDOUT:
                _write(sys.stdout.buffer, part)
            case channels.STDERR:
                _write(sys.stderr.buffer, part)
            case channels.ERROR:
                self._status = part

    async def _feed(self) -> None:
        source = terminal.Input(sys.stdin.fileno())
        while data := await source.read():
            self._channels.write(channels.STDIN, data)
            await send(self._writer, self._channels.take())
        self._channels.end_input()
        await send(self._writer, self._channels.take())


def _end(session: Session, told: bytes | None) -> None:
    """Exit as the command did."""
    status = orjson.loads(told) if told is not None else {}
    if status.get("status") == "Success":
        return
    code = remote_command.exit_code_of(status)
    if code is None:
        raise CtlError(f"error: {status.get('message') or 'the command ended without a word'}")
    session.exit_status = code
    session.complain(f"command terminated with exit code {code}")


def _write(file: BinaryIO, data: bytes) -> None:
    file.write(data)
    file.flush()
