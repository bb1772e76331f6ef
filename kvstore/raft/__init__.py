"""The consensus core, sans-I/O: messages, ticks and proposals in, `Ready` out.

Nothing here may touch a clock, socket, file, thread, log or random generator; the driver
(`kvstore.server.node`) does, in the order of durability that `Ready` spells out.
"""
