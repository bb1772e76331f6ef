"""The server side of HTTP/2 and of gRPC on top of it, pure: bytes in, calls and bytes out.

No socket, clock, task or log may enter; `server.front` drives it. Written for gRPC's clients and
against everybody else: what one connection may cost is bounded by `limits`.
"""
