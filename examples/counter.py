"""A counter that many clients share: three ways to increment it, of which one is right."""

from kvstore.client import Client, ModRevision, put
from kvstore.errors import UnavailableError


async def increment(client: Client, key: str) -> None:
    """Count one more. UnavailableError: perhaps it counted, perhaps not."""
    while not await _increment_once(client, key):
        pass  # another client was faster


async def increment_blindly(client: Client, key: str) -> None:
    """WRONG: what others count between the get and the put is lost."""
    found = await client.get(key)
    await client.put(key, b"%d" % (int(found.value) + 1 if found else 1))


async def increment_stubbornly(client: Client, key: str) -> None:
    """WRONG: what ended without an answer may have counted, and counts again."""
    while True:
        try:
            return await increment(client, key)
        except UnavailableError:
            continue


async def count(client: Client, key: str) -> int:
    """What it stands at."""
    found = await client.get(key)
    return int(found.value) if found else 0


async def _increment_once(client: Client, key: str) -> bool:
    """Tell whether nobody else wrote the key meanwhile, so that it counted."""
    found = await client.get(key)
    revision, value = (found.mod_revision, int(found.value)) if found else (0, 0)
    unchanged = ModRevision(key) == revision
    answer = await client.txn().when(unchanged).then(put(key, b"%d" % (value + 1))).commit()
    return answer.succeeded
