"""The whole control plane in one deterministic simulation, from one seed.

`python -m controlplane.simulation` runs seeds of it. Production parts: members of the store and
their clients, the API server's write path, all controllers and the scheduler (two candidates each,
by leader election), node agents. Simulated: clock, network, disks, dice, and what runs containers.

What belongs here: what goes wrong, what people want meanwhile, and what must hold all the same,
judged by the store's own history. What never enters: how anything is done.
"""
