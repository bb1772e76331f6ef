"""etcd's gRPC methods that the client calls: full name and type of the response. Data only."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from kvstore.pb import rpc_pb2

ResponseT = TypeVar("ResponseT", bound=Message)


@dataclass(frozen=True)
class Method(Generic[ResponseT]):
    """One method of the API."""

    name: str
    response: type[ResponseT]


RANGE = Method("/etcdserverpb.KV/Range", rpc_pb2.RangeResponse)
PUT = Method("/etcdserverpb.KV/Put", rpc_pb2.PutResponse)
DELETE_RANGE = Method("/etcdserverpb.KV/DeleteRange", rpc_pb2.DeleteRangeResponse)
TXN = Method("/etcdserverpb.KV/Txn", rpc_pb2.TxnResponse)
COMPACT = Method("/etcdserverpb.KV/Compact", rpc_pb2.CompactionResponse)
WATCH = Method("/etcdserverpb.Watch/Watch", rpc_pb2.WatchResponse)
LEASE_GRANT = Method("/etcdserverpb.Lease/LeaseGrant", rpc_pb2.LeaseGrantResponse)
LEASE_REVOKE = Method("/etcdserverpb.Lease/LeaseRevoke", rpc_pb2.LeaseRevokeResponse)
LEASE_KEEP_ALIVE = Method("/etcdserverpb.Lease/LeaseKeepAlive", rpc_pb2.LeaseKeepAliveResponse)
LEASE_TIME_TO_LIVE = Method("/etcdserverpb.Lease/LeaseTimeToLive", rpc_pb2.LeaseTimeToLiveResponse)
LEASE_LEASES = Method("/etcdserverpb.Lease/LeaseLeases", rpc_pb2.LeaseLeasesResponse)
MEMBER_LIST = Method("/etcdserverpb.Cluster/MemberList", rpc_pb2.MemberListResponse)
MEMBER_ADD = Method("/etcdserverpb.Cluster/MemberAdd", rpc_pb2.MemberAddResponse)
MEMBER_REMOVE = Method("/etcdserverpb.Cluster/MemberRemove", rpc_pb2.MemberRemoveResponse)
MEMBER_UPDATE = Method("/etcdserverpb.Cluster/MemberUpdate", rpc_pb2.MemberUpdateResponse)
MEMBER_PROMOTE = Method("/etcdserverpb.Cluster/MemberPromote", rpc_pb2.MemberPromoteResponse)
ALARM = Method("/etcdserverpb.Maintenance/Alarm", rpc_pb2.AlarmResponse)
STATUS = Method("/etcdserverpb.Maintenance/Status", rpc_pb2.StatusResponse)
DEFRAGMENT = Method("/etcdserverpb.Maintenance/Defragment", rpc_pb2.DefragmentResponse)
HASH_KV = Method("/etcdserverpb.Maintenance/HashKV", rpc_pb2.HashKVResponse)
SNAPSHOT = Method("/etcdserverpb.Maintenance/Snapshot", rpc_pb2.SnapshotResponse)
MOVE_LEADER = Method("/etcdserverpb.Maintenance/MoveLeader", rpc_pb2.MoveLeaderResponse)
