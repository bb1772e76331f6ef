"""The Auth service of a member that has no authentication: it says so, in etcd's terms.

Knows no transport.
"""

from google.protobuf.message import Message

from kvstore.errors import AuthNotEnabledError, UnsupportedError
from kvstore.pb import rpc_pb2
from kvstore.server import convert
from kvstore.server.call import Call, Methods
from kvstore.server.node import Node

_UNSUPPORTED: tuple[tuple[str, type[Message]], ...] = (
    ("AuthEnable", rpc_pb2.AuthEnableRequest),
    ("UserAdd", rpc_pb2.AuthUserAddRequest),
    ("UserGet", rpc_pb2.AuthUserGetRequest),
    ("UserList", rpc_pb2.AuthUserListRequest),
    ("UserDelete", rpc_pb2.AuthUserDeleteRequest),
    ("UserChangePassword", rpc_pb2.AuthUserChangePasswordRequest),
    ("UserGrantRole", rpc_pb2.AuthUserGrantRoleRequest),
    ("UserRevokeRole", rpc_pb2.AuthUserRevokeRoleRequest),
    ("RoleAdd", rpc_pb2.AuthRoleAddRequest),
    ("RoleGet", rpc_pb2.AuthRoleGetRequest),
    ("RoleList", rpc_pb2.AuthRoleListRequest),
    ("RoleDelete", rpc_pb2.AuthRoleDeleteRequest),
    ("RoleGrantPermission", rpc_pb2.AuthRoleGrantPermissionRequest),
    ("RoleRevokePermission", rpc_pb2.AuthRoleRevokePermissionRequest),
)

METHODS: Methods = {
    "/etcdserverpb.Auth/AuthStatus": ("status", rpc_pb2.AuthStatusRequest, "unary"),
    "/etcdserverpb.Auth/AuthDisable": ("disable", rpc_pb2.AuthDisableRequest, "unary"),
    "/etcdserverpb.Auth/Authenticate": ("authenticate", rpc_pb2.AuthenticateRequest, "unary"),
    **{
        f"/etcdserverpb.Auth/{method}": ("unsupported", request_type, "unary")
        for method, request_type in _UNSUPPORTED
    },
}


class AuthService:
    """Knows no users and no roles."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def status(self, _request: rpc_pb2.AuthStatusRequest, call: Call) -> None:
        """Authentication is off."""
        header = convert.header(self._node, self._node.machine.store.revision)
        call.reply(rpc_pb2.AuthStatusResponse(header=header, enabled=False))

    def disable(self, _request: rpc_pb2.AuthDisableRequest, call: Call) -> None:
        """It is off already: etcd takes that for done, too."""
        header = convert.header(self._node, self._node.machine.store.revision)
        call.reply(rpc_pb2.AuthDisableResponse(header=header))

    def authenticate(self, _request: rpc_pb2.AuthenticateRequest, _call: Call) -> None:
        """Tell a client that it needs no token."""
        raise AuthNotEnabledError

    def unsupported(self, _request: Message, _call: Call) -> None:
        """Refuse all that needs users or roles."""
        raise UnsupportedError("authentication: users, roles and permissions")
