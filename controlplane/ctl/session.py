"""What a command of cpctl works with: a client, what the server has, options, and who listens."""

import argparse
from collections.abc import Callable

import msgspec

from controlplane.ctl.client import ApiClient
from controlplane.ctl.errors import CtlError, StatusError, message_of
from controlplane.ctl.manifests import Manifest
from controlplane.ctl.resources import ApiResource, Resources


class Session(msgspec.Struct):
    """What a command works with. `say` prints a line, `complain` one on standard error."""

    client: ApiClient
    resources: Resources
    options: argparse.Namespace
    say: Callable[[str], None]
    complain: Callable[[str], None]
    has_failed: bool = False
    exit_status: int = 0  # of a command that says its own

    @property
    def namespace(self) -> str:
        """Of the command line, or of the kubeconfig."""
        return str(self.options.namespace or self.client.access.namespace)

    def fail(self, error: CtlError | StatusError, *, doing: str = "") -> None:
        """Tell it, and go on with the next one."""
        self.has_failed = True
        told = message_of(error, doing=doing) if isinstance(error, StatusError) else str(error)
        self.complain(told)

    def place(self, resource: ApiResource) -> str:
        """The namespace that is meant for a resource; empty: all, or it has none."""
        everywhere = getattr(self.options, "all_namespaces", False)
        return "" if everywhere or not resource.is_namespaced else self.namespace

    def belonging(self, manifest: Manifest) -> tuple[ApiResource, str]:
        """The resource and namespace that an object of a file belongs to. Raises CtlError."""
        content = manifest.content
        resource = self.resources.of_object(content, manifest.source)
        own = str(content["metadata"].get("namespace") or "")
        wanted = self.options.namespace
        if own and wanted and own != wanted:
            raise CtlError(
                f'error: the namespace from the provided object "{own}" does not match the'
                f" namespace \"{wanted}\". You must pass '--namespace={own}' to perform this"
                " operation."
            )
        return resource, own or self.namespace
