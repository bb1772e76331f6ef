"""A session with PyPI's `etcd3`, run by the Python of a virtual environment that has it.

PYTHON etcd3_session.py HOST PORT
"""

import sys

import etcd3

client = etcd3.client(host=sys.argv[1], port=int(sys.argv[2]))
client.put("foreign/a", "1")
assert client.get("foreign/a")[0] == b"1"
client.put("foreign/b", "2")
assert [value for value, _ in client.get_prefix("foreign/")] == [b"1", b"2"]
assert client.replace("foreign/a", "1", "3")
assert not client.replace("foreign/a", "1", "4")
succeeded, responses = client.transaction(
    compare=[client.transactions.value("foreign/a") == "3"],
    success=[client.transactions.put("foreign/a", "5"), client.transactions.get("foreign/b")],
    failure=[],
)
assert succeeded
assert responses[1][0][0] == b"2"

lease = client.lease(30)
client.put("foreign/leased", "x", lease=lease)
assert 0 < client.get_lease_info(lease.id).TTL <= 30
assert next(iter(lease.refresh())).TTL == 30
lease.revoke()
assert client.get("foreign/leased")[0] is None

events, cancel = client.watch("foreign/watched", start_revision=1)
client.put("foreign/watched", "seen")
event = next(iter(events))
cancel()
assert isinstance(event, etcd3.events.PutEvent)
assert event.value == b"seen"

with client.lock("foreign/lock", ttl=10):
    pass
assert client.delete("foreign/a")
assert len(list(client.members)) == 1
assert client.status().version
print("etcd3: all calls answered as expected")
