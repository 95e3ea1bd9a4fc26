// The live page: one WebSocket in, text nodes out. Nothing received is ever read as markup or code.

const TOKEN_PLACE = "steadfast-token";
const HOLD_MS = 1000;
const CURVE_POINTS_MAX = 2000;
const CURVE_STEP_MS = 1000;
const RETRY_MS_MAX = 10000;
const STALE_MS = 5000;

const byId = (id) => document.getElementById(id);

// The token comes once, in the fragment, which browsers do not send; it is kept for this tab only.
function token() {
  const given = new URLSearchParams(location.hash.slice(1)).get("t");
  if (given) {
    sessionStorage.setItem(TOKEN_PLACE, given);
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem(TOKEN_PLACE) ?? "";
}

const TOKEN = token();

function setText(node, text) {
  const wanted = text === null || text === undefined ? "" : String(text);
  if (node.textContent !== wanted) {
    node.replaceChildren(document.createTextNode(wanted));
  }
}

function cell(kind, text, ...classes) {
  const node = document.createElement(kind);
  node.append(document.createTextNode(text === null || text === undefined ? "" : String(text)));
  for (const name of classes) if (name) node.classList.add(name);
  return node;
}

// columns: [title, row => text, row => class or "" (optional), is a number (optional)]
function fillTable(id, columns, rows, whenEmpty) {
  const table = byId(id);
  if (rows.length === 0) {
    const row = document.createElement("tr");
    row.append(cell("td", whenEmpty, "quiet"));
    table.replaceChildren(row);
    return;
  }
  const head = document.createElement("tr");
  for (const [title, , , number] of columns) head.append(cell("th", title, number ? "number" : ""));
  const body = rows.map((entry) => {
    const row = document.createElement("tr");
    for (const [, text, look, number] of columns) {
      row.append(cell("td", text(entry), number ? "number" : "", look ? look(entry) : ""));
    }
    return row;
  });
  table.replaceChildren(head, ...body);
}

const side = (entry) => (entry.side === "buy" ? "+ buy \u25b2" : "\u2212 sell \u25bc");
const sideLook = (entry) => (entry.side === "buy" ? "buy" : "sell");
const clockTime = (text) => new Date(text).toISOString().slice(11, 19);
const yesNo = (value) => (value === null ? "?" : value ? "yes" : "no");
const signed = (text) => (text && !text.startsWith("-") && Number(text) !== 0 ? "+" + text : text);
const signLook = (text) => (!text || Number(text) === 0 ? "" : text.startsWith("-") ? "bad" : "good");

function span(seconds) {
  const days = Math.floor(seconds / 86400);
  const rest = new Date((seconds % 86400) * 1000).toISOString().slice(11, 19);
  return days > 0 ? days + " d " + rest : rest;
}

function nanos(value) {
  if (value < 1000) return value + " ns";
  if (value < 1000000) return (value / 1000).toFixed(1) + " \u00b5s";
  return (value / 1000000).toFixed(1) + " ms";
}

const curve = [];

function addPoint(time, equity) {
  const value = Number(equity);
  if (!Number.isFinite(value)) return;
  const last = curve[curve.length - 1];
  if (last && time - last[0] < CURVE_STEP_MS) return;
  curve.push([time, value]);
  if (curve.length > CURVE_POINTS_MAX) curve.splice(0, curve.length - CURVE_POINTS_MAX);
}

function drawCurve() {
  if (curve.length < 2) return;
  let low = Infinity;
  let high = -Infinity;
  for (const [, value] of curve) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const from = curve[0][0];
  const width = Math.max(curve[curve.length - 1][0] - from, 1);
  const height = Math.max(high - low, 1e-9);
  const points = curve.map(([time, value]) => {
    const x = ((time - from) / width) * 1000;
    const y = 155 - ((value - low) / height) * 150;
    return x.toFixed(1) + "," + y.toFixed(1);
  });
  byId("curve-line").setAttribute("points", points.join(" "));
  setText(byId("curve-low"), "low " + low.toFixed(2));
  setText(byId("curve-high"), "high " + high.toFixed(2));
}

function showBook(books) {
  const parts = [];
  for (const book of books) {
    const age = book.age_ms === null ? "no data yet" : book.age_ms + " ms old";
    parts.push(cell("h3", book.venue + " " + book.instrument + (book.valid ? "" : ": not valid"), book.valid ? "" : "bad"));
    const table = document.createElement("table");
    const level = (entry, name, arrow) => {
      const row = document.createElement("tr");
      row.append(cell("td", arrow, name), cell("td", entry.price, "number", name), cell("td", entry.quantity, "number"));
      return row;
    };
    for (const entry of book.asks.slice(0, 5).reverse()) table.append(level(entry, "sell", "\u25bc ask"));
    for (const entry of book.bids.slice(0, 5)) table.append(level(entry, "buy", "\u25b2 bid"));
    parts.push(table, cell("p", age, "quiet"));
  }
  byId("book").replaceChildren(...parts);
}

function badge(id, word) {
  const node = byId(id);
  setText(node, word);
  node.className = "badge";
  if (/^[a-z_]+$/.test(word)) node.classList.add(word);
}

function showHealth(status) {
  const reasons = status.not_ready.map((entry) => entry.explain);
  if (status.halt) reasons.unshift("halted: " + status.halt.explain + (status.halt.note ? " (" + status.halt.note + ")" : ""));
  byId("reasons").replaceChildren(...reasons.map((text) => cell("li", text, "bad")));
  const health = byId("health");
  health.className = reasons.length === 0 ? "health good" : "health bad";
  setText(health, reasons.length === 0 ? "\u25cf ready" : "\u25cb " + reasons[0]);
}

function show(frame) {
  const status = frame.status;
  badge("mode", status.mode);
  badge("trading", status.trading);
  showHealth(status);
  setText(byId("time"), clockTime(status.time) + " UTC");
  setText(byId("equity"), status.equity);
  setText(byId("quote"), status.quote);
  const day = byId("day-pnl");
  setText(day, signed(status.day_pnl));
  day.className = "number " + signLook(status.day_pnl);
  setText(byId("fees"), status.fees);
  setText(byId("open-orders"), status.open_orders);
  const unknown = byId("unknown-orders");
  setText(unknown, status.unknown_orders);
  unknown.className = status.unknown_orders > 0 ? "number bad" : "number";
  setText(byId("version"), "version " + status.version);
  setText(byId("uptime"), "up " + span(status.uptime_seconds));
  byId("pause").disabled = status.trading !== "active";
  byId("resume").disabled = status.trading !== "reduce_only";
  byId("halt").disabled = status.trading === "halted";
  addPoint(Date.parse(status.time), status.equity);
  drawCurve();
  showBook(frame.book);
  fillTable("positions", [
    ["instrument", (p) => p.instrument], ["strategy", (p) => p.strategy],
    ["size", (p) => signed(p.quantity), null, true], ["entry", (p) => p.entry, null, true],
    ["mark", (p) => p.mark, null, true], ["unrealised", (p) => signed(p.unrealised), (p) => signLook(p.unrealised), true],
    ["realised", (p) => signed(p.realised), (p) => signLook(p.realised), true],
  ], frame.positions, "nothing is held");
  fillTable("orders", [
    ["instrument", (o) => o.instrument], ["side", side, sideLook], ["price", (o) => o.price, null, true],
    ["size", (o) => o.quantity, null, true], ["filled", (o) => o.filled, null, true],
    ["state", (o) => o.state, (o) => (o.state === "unknown" ? "bad" : "")], ["strategy", (o) => o.strategy],
    ["id", (o) => o.client_order_id], ["note", (o) => o.note, () => "note"],
  ], frame.orders.filter((o) => o.open), "nothing rests");
  fillTable("fills", [
    ["time", (f) => clockTime(f.time)], ["instrument", (f) => f.instrument], ["side", side, sideLook],
    ["price", (f) => f.price, null, true], ["size", (f) => f.quantity, null, true],
    ["fee", (f) => f.fee + " " + f.fee_asset, null, true], ["", (f) => f.liquidity], ["strategy", (f) => f.strategy],
  ], frame.fills, "no fill yet");
  fillTable("strategies", [
    ["strategy", (s) => s[0]], ["orders", (s) => s[1].orders, null, true], ["fills", (s) => s[1].fills, null, true],
    ["maker", (s) => s[1].maker_fills, null, true], ["refused", (s) => s[1].refused, null, true],
  ], Object.entries(status.strategies), "no strategy");
  fillTable("feeds", [
    ["feed", (f) => f.venue + " " + f.channel], ["instrument", (f) => f.instrument],
    ["", (f) => (f.valid ? "\u25cf up" : "\u25cb down"), (f) => (f.valid ? "good" : "bad")],
    ["age", (f) => (f.age_ms === null ? "" : f.age_ms + " ms"), null, true],
  ], status.feeds, "no feed");
  fillTable("clocks", [
    ["clock against", (c) => c.venue],
    ["skew", (c) => (c.skew_us === null ? "not known" : (c.skew_us / 1000).toFixed(1) + " ms"), null, true],
    ["within", (c) => (c.uncertainty_us === null ? "" : (c.uncertainty_us / 1000).toFixed(1) + " ms"), null, true],
  ], status.clocks, "no clock measured");
  fillTable("balances", [
    ["account", (b) => b.venue], ["asset", (b) => b.asset], ["available", (b) => b.available, null, true],
    ["held", (b) => b.held, null, true],
  ], frame.balances, "no balance known");
  fillTable("keys", [
    ["key", (k) => k.alias], ["venue", (k) => k.venue],
    ["status", (k) => k.status, (k) => (k.status === "active" ? "good" : "bad")],
    ["may", (k) => k.permissions.join(", ")], ["address-bound", (k) => yesNo(k.ip_bound)],
    ["rotate by", (k) => (k.rotation_due ? k.rotation_due.slice(0, 10) : "")],
  ], status.keys, "no key linked");
  fillTable("hops", [
    ["hop", (h) => h[0]], ["orders", (h) => h[1].count, null, true], ["p50", (h) => nanos(h[1].p50_ns), null, true],
    ["p99", (h) => nanos(h[1].p99_ns), null, true],
  ], Object.entries(status.hops), "no order yet");
  fillTable("actors", [
    ["actor", (a) => a.name], ["", (a) => (a.up ? "\u25cf up" : "\u25cb down"), (a) => (a.up ? "good" : "bad")],
    ["restarts", (a) => a.restarts, null, true],
    ["waiting", (a) => a.mailbox_depth + " / " + a.mailbox_capacity, null, true],
  ], status.actors, "none");
}

function notice(text, good) {
  const node = byId("notice");
  setText(node, text);
  node.className = good ? "good" : "";
  node.hidden = !text;
}

function lost(text) {
  const health = byId("health");
  health.className = "health bad";
  setText(health, "\u25cb " + text);
}

async function ask(path, options) {
  const answer = await fetch(path, { ...options, headers: { ...(options?.headers ?? {}), Authorization: "Bearer " + TOKEN } });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.title + ": " + body.detail);
  return body;
}

async function act(verb) {
  try {
    const done = await ask("/api/v1/" + verb, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ reason: "from the live page" }),
    });
    notice(verb + ": " + (done.done.length > 0 ? done.done.join("; ") : "done"), true);
  } catch (error) {
    notice(verb + " failed: " + error.message, false);
  }
}

byId("pause").addEventListener("click", () => act("pause"));
byId("resume").addEventListener("click", () => act("resume"));

// Halt: hold for a second, by pointer or with the space or enter key.
const haltButton = byId("halt");
let holding = 0;
function hold() {
  if (holding || haltButton.disabled) return;
  haltButton.classList.add("held");
  holding = setTimeout(() => {
    release();
    act("halt");
  }, HOLD_MS);
}
function release() {
  clearTimeout(holding);
  holding = 0;
  haltButton.classList.remove("held");
}
haltButton.addEventListener("pointerdown", hold);
for (const end of ["pointerup", "pointerleave", "pointercancel", "blur", "keyup"]) haltButton.addEventListener(end, release);
haltButton.addEventListener("keydown", (event) => {
  if (event.key === " " || event.key === "Enter") {
    event.preventDefault();
    if (!event.repeat) hold();
  }
});

let retryMs = 250;
let heard = 0;
let sequence = 0;

function connect() {
  const address = "ws://" + location.host + "/api/v1/stream";
  const socket = new WebSocket(address, ["steadfast.v1", "token." + TOKEN]);
  socket.addEventListener("message", (event) => {
    const frame = JSON.parse(event.data);
    heard = Date.now();
    retryMs = 250;
    if (frame.sequence <= sequence) curve.length = 0;
    sequence = frame.sequence;
    show(frame);
  });
  socket.addEventListener("close", () => {
    lost("not connected");
    setTimeout(start, retryMs);
    retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
  });
}

async function start() {
  try {
    const points = await ask("/api/v1/equity");
    curve.length = 0;
    sequence = 0;
    for (const point of points) addPoint(point.time_ms, point.equity);
    notice("", true);
    connect();
  } catch (error) {
    lost("not connected");
    notice(error.message, false);
    setTimeout(start, retryMs);
    retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
  }
}

setInterval(() => {
  if (heard && Date.now() - heard > STALE_MS) lost("no data for " + Math.round((Date.now() - heard) / 1000) + " s");
}, 1000);

if (TOKEN) {
  start();
} else {
  lost("not logged in");
  notice("Open the link that the program printed at start: it ends in #t= and the token.", false);
}
