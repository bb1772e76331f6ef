"""What a client and a server agree on before they leave HTTP. PURE.

Source: RFC 6455, 4.2.2; kubectl-needs.md, "exec, attach, cp" and "port-forward".
"""

from collections.abc import Sequence

import msgspec
from multidict import MultiMapping

from controlplane.api import errors
from controlplane.api.errors import ApiError
from controlplane.streams.websocket import accept_of

_SPDY = "SPDY/3.1"
_VERSION_HEADER = "X-Stream-Protocol-Version"


class Handshake(msgspec.Struct, frozen=True, kw_only=True):
    """headers  of the answer"""

    is_websocket: bool
    protocol: str
    headers: Sequence[tuple[str, str]]


def handshake(
    headers: MultiMapping[str], websocket: Sequence[str], spdy: Sequence[str]
) -> Handshake:
    """The best protocol that both know. Raises ApiError 400 and 403.

    headers          of the request; a name in any case finds them
    websocket, spdy  protocols that we speak over either, the best first
    """
    if "upgrade" not in headers.get("Connection", "").lower():
        raise errors.bad_request("Upgrade request required")
    wanted = headers.get("Upgrade", "")
    if wanted.lower() == "websocket":
        return _websocket(headers, websocket)
    if wanted.lower() != _SPDY.lower():
        raise errors.bad_request(f"unable to upgrade: no protocol {wanted[:40]!r} is known")
    protocol = _agreed(_names(headers, _VERSION_HEADER), spdy)
    answered = (("Connection", "Upgrade"), ("Upgrade", _SPDY), (_VERSION_HEADER, protocol))
    return Handshake(is_websocket=False, protocol=protocol, headers=answered)


def _websocket(headers: MultiMapping[str], known: Sequence[str]) -> Handshake:
    key = headers.get("Sec-WebSocket-Key", "")
    if headers.get("Sec-WebSocket-Version") != "13" or not key:
        raise errors.bad_request("a WebSocket of version 13 has a key, please")
    protocol = _agreed(_names(headers, "Sec-WebSocket-Protocol"), known)
    answered = (
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Accept", accept_of(key)),
        ("Sec-WebSocket-Protocol", protocol),
    )
    return Handshake(is_websocket=True, protocol=protocol, headers=answered)


def _names(headers: MultiMapping[str], header: str) -> list[str]:
    values = headers.getall(header, ())
    return [name.strip() for value in values for name in value.split(",") if name.strip()]


def _agreed(wanted: Sequence[str], known: Sequence[str]) -> str:
    for protocol in known:
        if protocol in wanted:
            return protocol
    told = f"client supports {_told(wanted)}, server accepts {_told(known)}"
    raise ApiError(403, "Forbidden", f"unable to upgrade: unable to negotiate protocol: {told}")


def _told(names: Sequence[str]) -> str:
    return f"[{' '.join(name[:80] for name in names[:10])}]"
