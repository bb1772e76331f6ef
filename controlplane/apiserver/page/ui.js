"use strict";
// Draws the cluster from the public API: a list and a watch of nodes, pods and events, as Tables.
// Whatever comes from the API is set as text, never as markup.

const TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io";
const EVENTS_MAX = 30, STORE_MS = 2000, DRAW_MS = 200, RETRY_MS = 1000, RETRY_MS_MAX = 15000;
const PHASES = ["Running", "Pending", "Succeeded", "Failed"];
const state = { nodes: new Map(), pods: new Map(), events: new Map(), members: [], problems: new Map() };

let token = new URLSearchParams(location.hash.slice(1)).get("token") || sessionStorage.getItem("token") || "";
if (location.hash) history.replaceState(null, "", location.pathname);

class Refused extends Error {}

async function ask(path, accept) {
  const headers = { Accept: accept || "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(path, { headers, cache: "no-store" });
  if (answer.status === 401 || answer.status === 403) throw new Refused(answer.statusText);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer;
}

// ---------------------------------------------------------------- following a resource

function rowsOf(table, columns) {
  if (table.columnDefinitions && table.columnDefinitions.length)
    columns.splice(0, columns.length, ...table.columnDefinitions.map((one) => one.name));
  return (table.rows || []).map((row) => ({
    uid: row.object.metadata.uid,
    metadata: row.object.metadata,
    cells: Object.fromEntries(columns.map((name, place) => [name, row.cells[place]])),
  }));
}

async function follow(path, found, changed) {
  const columns = [];
  const list = await (await ask(`${path}?limit=5000`, TABLE)).json();
  found.clear();
  for (const row of rowsOf(list, columns)) found.set(row.uid, row);
  changed();
  const version = encodeURIComponent(list.metadata.resourceVersion);
  const answer = await ask(`${path}?watch=true&resourceVersion=${version}`, TABLE);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line) continue;
      const event = JSON.parse(line);
      if (event.type === "ERROR") return;
      for (const row of rowsOf(event.object, columns))
        event.type === "DELETED" ? found.delete(row.uid) : found.set(row.uid, row);
    }
    changed();
  }
}

async function forever(name, work) {
  let wait = RETRY_MS;
  for (;;) {
    const began = Date.now();
    try {
      await work();
      state.problems.delete(name);
    } catch (error) {
      if (error instanceof Refused) return login(true);
      state.problems.set(name, error.message);
      draw();
    }
    wait = Date.now() - began > RETRY_MS_MAX ? RETRY_MS : Math.min(wait * 2, RETRY_MS_MAX);
    await new Promise((done) => setTimeout(done, wait));
  }
}

async function followStore() {
  for (;;) {
    state.members = (await (await ask("/ui/store")).json()).members;
    state.problems.delete("store");
    draw();
    await new Promise((done) => setTimeout(done, STORE_MS));
  }
}

// ------------------------------------------------------------------------- drawing

function element(kind, text, ...classes) {
  const made = document.createElement(kind);
  if (text !== undefined && text !== null) made.textContent = text;
  // Some are what users write; what is no word would end the drawing.
  made.classList.add(...classes.filter((one) => one && /^[A-Za-z-]+$/.test(one)));
  return made;
}

function card(title, aside, lines, look) {
  const made = element("article", null, "card", look);
  const head = element("h3", title);
  head.append(element("span", aside));
  made.append(head, ...lines.map((line) => element("p", line)));
  return made;
}

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let place = 0;
  for (; count >= 1024 && place < units.length - 1; place++) count /= 1024;
  return `${count.toFixed(place ? 1 : 0)} ${units[place]}`;
}

function drawMembers() {
  return state.members.map((one) => one.error
    ? card(one.endpoint, "away", [one.error], "bad")
    : card(one.id, one.isLeader ? "leader" : one.isLearner ? "learner" : "follower",
      [one.endpoint, `term ${one.term} · applied ${one.applied} · ${bytes(one.bytes)}`], one.isLeader && "lead"));
}

function square(pod) {
  const status = pod.cells.Status;
  const made = element("li", null, "pod", status);
  made.title = `${pod.metadata.namespace}/${pod.metadata.name}: ${status}, ready ${pod.cells.Ready}`;
  return made;
}

function drawNodes() {
  const onNode = new Map();
  for (const pod of state.pods.values()) {
    const name = pod.cells.Node === "<none>" ? "" : pod.cells.Node;
    if (!onNode.has(name)) onNode.set(name, []);
    onNode.get(name).push(pod);
  }
  const made = [...state.nodes.values()].sort(byName).map((node) => {
    const status = node.cells.Status, pods = onNode.get(node.metadata.name) || [];
    onNode.delete(node.metadata.name);
    return nodeCard(node.metadata.name, status, pods, status.split(",")[0] !== "Ready" && "bad");
  });
  for (const [name, pods] of onNode) made.push(nodeCard(name || "no node yet", "", pods, "bad"));
  return made;
}

function nodeCard(name, status, pods, look) {
  const made = card(name, status, [`${pods.length} pods`], look);
  const squares = element("ul", null, "pods");
  squares.append(...pods.sort(byName).map(square));
  made.append(squares);
  return made;
}

function byName(one, other) {
  const names = [one, other].map((each) => `${each.metadata.namespace || ""}/${each.metadata.name}`);
  return names[0] < names[1] ? -1 : names[0] > names[1] ? 1 : 0;
}

function drawLegend() {
  const counts = new Map(PHASES.map((phase) => [phase, 0]));
  for (const pod of state.pods.values()) counts.set(pod.cells.Status, (counts.get(pod.cells.Status) || 0) + 1);
  return [...counts].filter(([, count]) => count).map(([status, count]) => {
    const made = element("li");
    made.append(element("span", null, "pod", status), element("span", `${status} ${count}`));
    return made;
  });
}

function drawEvents() {
  const latest = [...state.events.values()]
    .sort((one, other) => Number(other.metadata.resourceVersion) - Number(one.metadata.resourceVersion))
    .slice(0, EVENTS_MAX);
  return latest.map((event) => {
    const cells = event.cells, made = element("tr", null, cells.Type);
    made.append(...["Last Seen", "Type", "Reason", "Object", "Message"].map((name) => element("td", cells[name])));
    return made;
  });
}

let drawing = 0;
function draw() {
  if (!drawing) drawing = setTimeout(drawNow, DRAW_MS);
}

function drawNow() {
  drawing = 0;
  document.getElementById("cluster").hidden = false;
  const fill = (id, children) => document.getElementById(id).replaceChildren(...children);
  fill("members", drawMembers());
  fill("nodes", drawNodes());
  fill("legend", drawLegend());
  fill("events", drawEvents());
  const ready = [...state.nodes.values()].filter((node) => node.cells.Status.split(",")[0] === "Ready").length;
  const leader = state.members.find((one) => one.isLeader);
  const told = [`${ready} of ${state.nodes.size} nodes ready`, `${state.pods.size} pods`,
    leader ? `leader ${leader.id}, term ${leader.term}` : "no leader is known", ...state.problems.values()];
  document.getElementById("summary").textContent = told.join(" · ");
}

// --------------------------------------------------------------------------- start

function login(isRefused) {
  sessionStorage.removeItem("token");
  document.getElementById("cluster").hidden = true;
  document.getElementById("login").hidden = false;
  document.getElementById("summary").textContent = isRefused && token ? "the token is refused" : "who are you?";
}

document.getElementById("login").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", document.getElementById("token").value.trim());
  location.reload();
});

function start() {
  if (token) sessionStorage.setItem("token", token);
  forever("nodes", () => follow("/api/v1/nodes", state.nodes, draw));
  forever("pods", () => follow("/api/v1/pods", state.pods, draw));
  forever("events", () => follow("/api/v1/events", state.events, draw));
  forever("store", followStore);
}

start();
