"""`kvstore`: one member as a process, started with the flags of etcd."""

import asyncio
import gc
import logging
import os
import random
import signal
import sys
from typing import Any

import uvloop

from kvstore.errors import OperatorError
from kvstore.seams import PeerTransport
from kvstore.server import config, failpoints, peers, tls
from kvstore.server.bootstrap import bootstrap
from kvstore.server.clock import LoopClock
from kvstore.server.config import Settings
from kvstore.server.failpoint_seams import FailpointFiles, FailpointTransport, arm_node
from kvstore.server.failpoints import VARIABLE, Failpoints
from kvstore.server.front import Front, FrontLimits
from kvstore.server.member import Member, Seams
from kvstore.server.pages import MemberPages
from kvstore.server.peer_introduction import TcpIntroducer
from kvstore.storage.files import LocalFiles
from kvstore.urls import parse_url

logger = logging.getLogger("kvstore")

# The WAL thread gets the interpreter this quickly; the default of 5 ms would delay every sync.
_SWITCH_INTERVAL_SECONDS = 0.0002
# Records are immortal and free of cycles: young collections are rare, full ones nearly never.
_GC_THRESHOLDS = (50_000, 50, 1_000)


def main() -> int:
    """Run until SIGTERM or SIGINT. Exit status 2: wrong flags; 1: the member cannot go on."""
    try:
        settings = config.load(sys.argv[1:], os.environ)
        armed = failpoints.load(os.environ)
    except OperatorError as error:
        print(f"kvstore: {error}", file=sys.stderr)
        return 2
    if isinstance(settings, config.Printout):
        print(settings.text)
        return 0
    logging.basicConfig(
        level=settings.log_level.upper().replace("PANIC", "CRITICAL").replace("FATAL", "CRITICAL"),
        format="%(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
        stream=sys.stderr,
    )
    for notice in settings.notices:
        logger.warning("%s", notice)
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)
    gc.set_threshold(*_GC_THRESHOLDS)
    if armed is not None:
        logger.warning("%s=%s: this member fails on purpose", VARIABLE, os.environ[VARIABLE])
    return _run(settings, armed)


def _run(settings: Settings, armed: Failpoints | None) -> int:
    status = 0
    try:
        uvloop.run(_serve(settings, armed))
    except* OperatorError as group:
        status = 1
        for failure in _leaves(group):
            logger.critical("%s", failure)
    return status


def _on_stray_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An error in a callback. A broken invariant ends the process before it answers anybody:
    what is on the disk is sound, what is in memory may not be."""
    loop.default_exception_handler(context)
    if isinstance(context.get("exception"), AssertionError) or context.get("is_fatal"):
        logger.critical("the member cannot go on after this error; start it again")
        logging.shutdown()
        os._exit(1)


def _leaves(group: BaseExceptionGroup[OperatorError]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for failure in group.exceptions:
        leaves += _leaves(failure) if isinstance(failure, BaseExceptionGroup) else [failure]
    return leaves


async def _serve(settings: Settings, armed: Failpoints | None) -> None:
    asyncio.get_running_loop().set_exception_handler(_on_stray_error)
    files = FailpointFiles(armed) if armed else LocalFiles()
    clock, dice = LoopClock(), random.SystemRandom()
    boot = await bootstrap(files, settings, TcpIntroducer(settings, clock, dice))
    transport: PeerTransport = peers.peers_of(settings, boot.spec, clock, dice)
    if armed:
        transport = FailpointTransport(transport, armed)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with asyncio.TaskGroup() as tasks:
        gc.disable()  # millions of records are coming that no collection could free
        member = Member(settings, boot.spec, Seams(clock, files, transport, dice), tasks)
        if armed:
            arm_node(member.node, armed)
        gc.freeze()
        gc.enable()
        front = _front(settings, member)
        running = tasks.create_task(member.run())
        await front.start()
        logger.info("serving clients at %s", ", ".join(settings.listen_client_urls))
        waiting = tasks.create_task(stopping.wait())
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not running.done():
            logger.info("stopping")
            await member.hand_over()
            await front.stop()
            member.stop()
        await running
    files.close()


def _front(settings: Settings, member: Member) -> Front:
    urls = [parse_url(url) for url in settings.listen_client_urls]
    is_tls = any(url.is_tls for url in urls)
    return Front(
        member.services,
        urls,
        tls.load_front(settings.client_tls) if is_tls and settings.client_tls else None,
        FrontLimits(
            request_bytes_max=settings.max_request_bytes,
            concurrent_streams_max=settings.max_concurrent_streams,
            keepalive_min_interval_seconds=settings.grpc_keepalive_min_time_seconds,
            keepalive_interval_seconds=settings.grpc_keepalive_interval_seconds,
            keepalive_timeout_seconds=settings.grpc_keepalive_timeout_seconds,
        ),
        MemberPages(member.node).get,
    )


if __name__ == "__main__":
    sys.exit(main())
