"""Changes of the store's membership that may be asked for again: an answer can be lost, or be late.

A member is known by its peer URL here, for its id is in the answer. Processes and files are the
launcher's.
"""

import asyncio

from kvstore import client
from kvstore.errors import KvError, PeerUrlExistsError, UnavailableError

# A change whose answer is lost is applied soon, or it never will be.
_LOOKS_MAX = 10
_LOOK_PAUSE_SECONDS = 0.5


class OutcomeUnknownError(Exception):
    """Whether the membership has changed is not known; the message says how to go on."""


async def ensure_added(store: client.Client, peer_url: str) -> None:
    """Add a voter, unless the store has it already.

    Raises OutcomeUnknownError, or the KvError with which the store has surely not added it.
    """
    if await _id_at(store, peer_url):
        return
    try:
        await store.cluster.member_add([peer_url])
    except PeerUrlExistsError:
        return  # whoever was asked for the list was behind
    except UnavailableError as error:
        if not error.may_have_been_applied:
            raise
        if not await _appears(store, peer_url):
            raise OutcomeUnknownError(
                f"it is not known whether a member at {peer_url} was added ({error}):"
                " `cluster add-member` looks again and goes on with it"
            ) from None


async def ensure_removed(store: client.Client, peer_url: str) -> None:
    """Remove whoever has a peer URL, if anybody has.

    Raises OutcomeUnknownError, or the KvError with which the store has surely removed nobody.
    """
    members = (await store.cluster.member_list()).members
    for member_id in [member.member_id for member in members if peer_url in member.peer_urls]:
        try:
            await store.cluster.member_remove(member_id)
        except UnavailableError as error:
            if not error.may_have_been_applied:
                raise
            raise OutcomeUnknownError(
                f"it is not known whether the member at {peer_url} was removed ({error}):"
                " `cluster remove-member` looks again and goes on with it"
            ) from None


async def _appears(store: client.Client, peer_url: str) -> bool:
    for _ in range(_LOOKS_MAX):
        try:
            if await _id_at(store, peer_url):
                return True
        except KvError:
            pass  # there may be no quorum before the new member runs
        await asyncio.sleep(_LOOK_PAUSE_SECONDS)
    return False


async def _id_at(store: client.Client, peer_url: str) -> int:
    """Id of the member at a peer URL, 0 = none. Of what is applied anywhere, for two members are
    no quorum before the second one runs."""
    members = (await store.cluster.member_list(linearizable=False)).members
    return next((member.member_id for member in members if peer_url in member.peer_urls), 0)
