"""The embedded runtime: pods are processes of this machine, with no daemon and no root needed.

What keeps them apart is found out when it starts (`shim/isolation.py`); the network is always the
host's, pods have addresses of its loopback. There is no seccomp filter.

Pods outlive the agent. A service manager that kills all processes of a service must be told not
to: `KillMode=process` for systemd.
"""

from controlplane.node.runtime.process.runtime import ProcessRuntime

__all__ = ["ProcessRuntime"]
