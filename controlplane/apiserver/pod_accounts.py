"""Waits for the account that a new pod acts as, before admission looks for it.

Source: Kubernetes' documentation, "Managing Service Accounts": a controller makes the account
`default` of each namespace. Between the two, kube-apiserver looks for it ten times, 100 to 200 ms
apart, and once for any other account that its cache does not have; kube-behaviour 3.1, 11.4.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

from controlplane.admission import namespace_lifecycle, service_account
from controlplane.admission.review import Review
from controlplane.api.resource import Object
from kvstore.seams import Random

DEFAULT_LOOKS = 10
PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 0.1, 0.2


async def until_known(
    review: Review,
    found: Object,
    fresh: Callable[[], Awaitable[None]],
    *,
    dice: Random | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Return when the account is in the cache, or need not be there, or after all looks.

    fresh  waits until the cache has all writes; what it raises is raised

    Raises ApiError 403, 404 where nothing may be created: that is found out before.
    """
    name = service_account.sought(review, found)
    if not name:
        return
    namespace_lifecycle.mutate(review, found)
    spread = PAUSE_SECONDS_MAX - PAUSE_SECONDS_MIN
    pause = PAUSE_SECONDS_MIN + spread * (dice or random.Random()).random()
    for look in range(DEFAULT_LOOKS if name == service_account.DEFAULT else 1):
        if look:
            await sleep(pause)
        await fresh()
        if not service_account.sought(review, found):
            return
