"""Streams over one connection: SPDY, WebSocket, and what kubectl speaks over them. PURE.

Bytes of a peer go in, events and bytes for it come out; who moves them is elsewhere.
"""
