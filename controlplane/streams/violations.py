"""What a peer did that its protocol does not have. PURE."""


class ViolationError(Exception):
    """Nothing that the peer says from here on can be understood: the connection ends.

    code  for the frame that tells it: a status of GOAWAY (SPDY), a close code (WebSocket)
    """

    def __init__(self, why: str, code: int) -> None:
        super().__init__(why)
        self.why = why
        self.code = code
