// A session with npm's `etcd3`, run by Node in a folder that has it.
//
// node etcd3_session.cjs HOST PORT

const assert = require("node:assert/strict");
const { createRequire } = require("node:module");
const { once } = require("node:events");

const { Etcd3 } = createRequire(`${process.cwd()}/`)("etcd3");

async function main(host, port) {
  const client = new Etcd3({ hosts: `http://${host}:${port}` });
  await client.put("foreign3/a").value("1");
  assert.equal(await client.get("foreign3/a").string(), "1");
  await client.put("foreign3/b").value("2");
  const all = await client.getAll().prefix("foreign3/").strings();
  assert.deepEqual(all, { "foreign3/a": "1", "foreign3/b": "2" });
  assert.deepEqual(await client.getAll().prefix("foreign3/").sort("Key", "Descend").keys(), [
    "foreign3/b",
    "foreign3/a",
  ]);

  const swap = (from, to) =>
    client
      .if("foreign3/a", "Value", "==", from)
      .then(client.put("foreign3/a").value(to))
      .else(client.get("foreign3/a"))
      .commit();
  assert.equal((await swap("1", "3")).succeeded, true);
  const refused = await swap("1", "4");
  assert.equal(refused.succeeded, false);
  assert.equal(refused.responses[0].response_range.kvs[0].value.toString(), "3");

  const lease = client.lease(30, { autoKeepAlive: false });
  await lease.put("foreign3/leased").value("x");
  assert.equal((await lease.keepaliveOnce()).TTL, "30");
  await lease.revoke();
  assert.equal(await client.get("foreign3/leased").string(), null);

  const watcher = await client.watch().key("foreign3/watched").create();
  const seen = once(watcher, "put");
  await client.put("foreign3/watched").value("seen");
  assert.equal((await seen)[0].value.toString(), "seen");
  await watcher.cancel();

  const lock = await client.lock("foreign3/lock").acquire();
  await lock.release();
  assert.equal((await client.delete().prefix("foreign3/")).deleted, "3");
  assert.ok((await client.maintenance.status()).version);
  client.close();
  console.log("etcd3 (Node): all calls answered as expected");
}

main(process.argv[2], process.argv[3]);
