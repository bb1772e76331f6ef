"""`controlplane apiserver`: an API server in a process of its own."""

from collections.abc import Callable

from controlplane.apiserver.assembly import Assembly
from controlplane.apiserver.settings import Settings, add_flags, settings_of

__all__ = ["add_flags", "run", "settings_of"]


async def run(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until cancelled; `announce` is told the URL once all is ready."""
    async with settings.store.connect() as client:
        await Assembly(settings, client).run(announce)
