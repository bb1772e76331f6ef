"""The node agent: runs the pods that were given to its node, and tells how they are."""
