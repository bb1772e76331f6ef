"""gRPC's standard health service, as etcd 3.4 answers it: the process serves, whatever the state.

Whether the cluster has a leader is asked with a linearizable read, which is what etcdctl does.
"""

from kvstore.errors import UnknownServiceError
from kvstore.pb import health_pb2
from kvstore.server.call import Call, Methods, StreamCall

METHODS: Methods = {
    "/grpc.health.v1.Health/Check": ("check", health_pb2.HealthCheckRequest, "unary"),
    "/grpc.health.v1.Health/Watch": ("watch", health_pb2.HealthCheckRequest, "stream"),
}

# The name of the whole server; it is the only one that etcd registers.
_WHOLE_SERVER = ""

_SERVING = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
_UNKNOWN = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)


class HealthService:
    """Says that the server serves."""

    def check(self, request: health_pb2.HealthCheckRequest, call: Call) -> None:
        """The present status."""
        if request.service != _WHOLE_SERVER:
            raise UnknownServiceError
        call.reply(_SERVING)

    def watch(self, call: StreamCall) -> None:
        """The present status and its changes: it never changes until the connection ends."""

        def on_request(request: health_pb2.HealthCheckRequest) -> None:
            call.send(_SERVING if request.service == _WHOLE_SERVER else _UNKNOWN)

        call.on_request = on_request
