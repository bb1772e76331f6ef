"""The processes beside the agent that run containers: one zygote a node, one shim a pod.

Standard library only, no threads, no asyncio: a shim is a fork of the zygote, and both must be
able to fork at any time. What the agent says to them is in `wire.py`, what they leave on the disk
in `records.py`; `controlplane.node.runtime.process` is the agent's side.
"""
