"""The scheduler: gives each pod that waits a node."""
