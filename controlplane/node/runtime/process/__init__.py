"""The embedded runtime: pods are processes of this machine, with no daemon and no root needed."""

from controlplane.node.runtime.process.runtime import ProcessRuntime

__all__ = ["ProcessRuntime"]
