"""`cluster up`: stays in front until a signal ends it, or `cluster down`."""

import argparse
import asyncio
import signal

from cluster import data_folder, folder_lock
from cluster.launcher import Launcher
from cluster.ports import Ports


def run(options: argparse.Namespace) -> int:
    """Exit status 0: it was told to end. Raises LaunchError."""
    with folder_lock.exclusive(options.data), Ports() as ports:
        loaded = data_folder.load_or_create(
            options.data,
            options.members,
            ports,
            is_store_only=options.store_only,
            is_tls=options.tls,
            nodes=options.nodes,
        )

        async def stay() -> None:
            launcher = Launcher(options.data, loaded, ports)
            loop = asyncio.get_running_loop()
            numbers = [signal.SIGINT, signal.SIGTERM]
            if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # else: `nohup cluster up`
                numbers.append(signal.SIGHUP)
            for number in numbers:
                loop.add_signal_handler(number, launcher.leave)
            await launcher.run()

        asyncio.run(stay())
    print("stopped", flush=True)
    return 0
