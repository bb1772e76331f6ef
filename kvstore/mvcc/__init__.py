"""The multi-version store and its watchers, in memory and pure.

No clock, disk, network, task or log may enter: commands in, results and events out.
"""
