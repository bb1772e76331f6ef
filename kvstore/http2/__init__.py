"""HTTP/2 and gRPC on top of it, pure: bytes in, calls and bytes out.

No socket, clock, task or log may enter. `connection` is the server's end, which `server.front`
drives: written for gRPC's clients and against everybody else, what one connection may cost is
bounded by `limits`. `client` is the other end, which `client.http2_channel` drives.
"""
