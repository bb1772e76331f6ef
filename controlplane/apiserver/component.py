"""`controlplane apiserver`: an API server in a process of its own."""

import gc
from collections.abc import Callable

from controlplane.apiserver.assembly import Assembly
from controlplane.apiserver.settings import Settings, add_flags, settings_of

__all__ = ["add_flags", "run", "settings_of"]

# Objects are trees: their last reader frees them. So young collections are rare, full ones nearly
# never, and what is there when serving begins (schemas of all kinds) is never walked again.
_GC_THRESHOLDS = (50_000, 50, 1_000)


async def run(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until cancelled; `announce` is told the URL once all is ready."""
    gc.set_threshold(*_GC_THRESHOLDS)

    def ready(url: str) -> None:
        gc.collect()
        gc.freeze()
        announce(url)

    async with settings.store.connect() as client:
        await Assembly(settings, client).run(ready)
