"""The claims of storage that pods have, and which of them are no use yet. PURE.

Source: Kubernetes, "Persistent Volumes", "Ephemeral Volumes"; its scheduler's words.
"""

import msgspec

from controlplane.api.types.core_v1 import PersistentVolumeClaim, Pod

UNBOUND = "pod has unbound immediate PersistentVolumeClaims"
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
"""The annotation of a claim of which both sides of the binding are written."""


class VolumeClaim(msgspec.Struct, frozen=True):
    """A PersistentVolumeClaim of a pod's namespace. `is_ephemeral`: it is made for the pod."""

    name: str
    is_ephemeral: bool = False

    @property
    def absence(self) -> str:
        """What is told where there is none."""
        if self.is_ephemeral:
            begin = "waiting for ephemeral volume controller to create the persistentvolumeclaim"
            return f'{begin} "{self.name}"'
        return f'persistentvolumeclaim "{self.name}" not found'


def claims_of(pod: Pod) -> tuple[VolumeClaim, ...]:
    """Of a pod, in the order of its volumes."""
    found = []
    for volume in pod.spec.volumes:
        if volume.persistent_volume_claim is not None:
            found.append(VolumeClaim(volume.persistent_volume_claim.claim_name))
        elif volume.ephemeral is not None:
            found.append(VolumeClaim(f"{pod.metadata.name}-{volume.name}", is_ephemeral=True))
    return tuple(found)


def refusal_of(claim: PersistentVolumeClaim) -> str:
    """Why no node may have a pod of this claim; empty: it is bound."""
    metadata, spec = claim.metadata, claim.spec
    begin = f'persistentvolumeclaim "{metadata.name}"'
    if claim.status.phase == "Lost":
        return f'{begin} bound to non-existent persistentvolume "{spec.volume_name}"'
    if metadata.deletion_timestamp is not None:
        return f"{begin} is being deleted"
    return "" if spec.volume_name and BIND_COMPLETED in metadata.annotations else UNBOUND
