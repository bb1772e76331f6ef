"""What an attempt of a container left on the node's disk: its log, and its termination message.

They go with it, or a container that crashes again and again would fill the disk. Source:
Kubernetes' documentation, "Garbage Collection" (containers): one dead instance is kept.
"""

from collections.abc import Iterable
from pathlib import Path

from controlplane.node.container_config import MESSAGE_PATH
from controlplane.node.log_files import remove_log
from controlplane.node.runtime.interface import Container
from controlplane.node.view import PodView


def remove_remains(view: PodView, containers: Iterable[Container]) -> None:
    """Of those that have ended. Blocks. Raises OSError.

    What was never started left nothing, and its names are those of the attempt that comes.
    """
    folders = {one.id: Path(one.config.log_folder) for one in view.sandboxes}
    for one in containers:
        if one.state != "exited":
            continue
        remove_log(folders[one.sandbox_id] / one.config.log_path)
        message = one.config.annotations.get(MESSAGE_PATH)
        if message:
            Path(message).unlink(missing_ok=True)
