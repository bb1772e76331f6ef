"""Asks a server by gRPC how it is: grpc.health.v1.Health/Check."""

from typing import Any

import grpc
import grpc.aio


class HealthError(Exception):
    """It cannot be asked, or its answer is none."""


async def status_of(place: str, service: str, seconds: float) -> int:
    """The number of a ServingStatus. Raises HealthError; TimeoutError after so many seconds."""
    try:
        return await _check(place, service, seconds)
    except grpc.aio.AioRpcError as error:
        if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
            raise TimeoutError from None
        raise HealthError(error.details()) from None
    except (ValueError, IndexError) as error:
        raise HealthError(str(error)) from None


async def _check(place: str, service: str, seconds: float) -> int:
    """One string goes, one number comes."""
    name = service.encode()
    if len(name) > 127:
        raise ValueError("the name of the service is too long")
    request = b"\x0a" + bytes([len(name)]) + name if name else b""
    async with grpc.aio.insecure_channel(place) as channel:
        check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
        answer: bytes = await check(request, timeout=seconds)
    # Field 1, a varint; an empty message is UNKNOWN.
    return answer[1] if answer[:1] == b"\x08" else 0
