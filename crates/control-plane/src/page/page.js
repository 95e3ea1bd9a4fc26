// The live page: one WebSocket in, text nodes out. Nothing received is ever read as markup or code.

const TOKEN_PLACE = "steadfast-token";
const HOLD_MS = 1000;
const CURVE_POINTS_MAX = 2000;
const CURVE_STEP_MS = 1000;
const RETRY_MS_MAX = 10000;
const STALE_MS = 5000;
const OLDER_STEP_MS = 2000;
const OLDER_PAGES_MAX = 10;

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

// A column: its title, what it shows of an entry, and how that looks.
const column = (title, show, look) => ({ title, show, look, classes: [] });
const numbers = (title, show, look) => ({ title, show, look, classes: ["number"] });
// Left out on narrow screens.
const minor = (one) => ({ ...one, classes: [...one.classes, "minor"] });

function fillTable(id, columns, rows, whenEmpty) {
  const table = byId(id);
  if (rows.length === 0) {
    const row = document.createElement("tr");
    row.append(cell("td", whenEmpty, "quiet"));
    table.replaceChildren(row);
    return;
  }
  const head = document.createElement("tr");
  for (const one of columns) head.append(cell("th", one.title, ...one.classes));
  const body = rows.map((entry) => {
    const row = document.createElement("tr");
    for (const one of columns) {
      row.append(cell("td", one.show(entry), ...one.classes, one.look ? one.look(entry) : ""));
    }
    return row;
  });
  table.replaceChildren(head, ...body);
}

// Numbers come as exact text and are shortened for the eye only.
const twoDecimals = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const sevenDigits = new Intl.NumberFormat("en", { maximumSignificantDigits: 7 });
const fourDigits = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const known = (text) => text !== null && text !== undefined && text !== "";
const money = (text) => (known(text) ? twoDecimals.format(text) : "");
const size = (text) => (known(text) ? sevenDigits.format(text) : "");
const price = (text) => (known(text) ? (Math.abs(Number(text)) >= 100 ? twoDecimals : sevenDigits).format(text) : "");
const small = (text) => (known(text) ? fourDigits.format(text) : "");
const gain = (text) => (known(text) ? (Number(text) > 0 ? "+" : "") + (Math.abs(Number(text)) >= 1 ? money(text) : small(text)) : "");

const side = (entry) => (entry.side === "buy" ? "+ buy \u25b2" : "\u2212 sell \u25bc");
const sideLook = (entry) => (entry.side === "buy" ? "buy" : "sell");
const clockTime = (text) => new Date(text).toISOString().slice(11, 19);
const yesNo = (value) => (value === null ? "?" : value ? "yes" : "no");
const signed = (text) => (Number(text) > 0 ? "+" : "") + size(text);
const signLook = (text) => (!text || Number(text) === 0 ? "" : text.startsWith("-") ? "bad" : "good");

function span(seconds) {
  const days = Math.floor(seconds / 86400);
  const rest = new Date((seconds % 86400) * 1000).toISOString().slice(11, 19);
  return days > 0 ? days + " d " + rest : rest;
}

// The stretches of an order's way, first to last.
const HOPS = {
  frame_signal: "market frame to strategy's intent",
  signal_risk: "intent to risk guard",
  risk_sign: "risk guard to signature",
  sign_send: "signature to socket",
  send_ack: "socket to venue's answer",
  ack_fill: "answer to first fill",
  tick_to_wire: "market frame to socket",
};

function inOrder(hops) {
  const names = Object.keys(HOPS);
  const place = (name) => (names.includes(name) ? names.indexOf(name) : names.length);
  return Object.entries(hops).sort((one, other) => place(one[0]) - place(other[0]));
}

function nanos(value) {
  if (value < 1000) return value + " ns";
  if (value < 1000000) return (value / 1000).toFixed(1) + " \u00b5s";
  if (value < 1000000000) return (value / 1000000).toFixed(1) + " ms";
  return (value / 1000000000).toFixed(1) + " s";
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
  const to = curve[curve.length - 1][0];
  const width = Math.max(to - from, 1);
  const height = Math.max(high - low, 1e-9);
  const points = curve.map(([time, value]) => {
    const x = ((time - from) / width) * 1000;
    const y = 155 - ((value - low) / height) * 150;
    return x.toFixed(1) + "," + y.toFixed(1);
  });
  byId("curve-line").setAttribute("points", points.join(" "));
  byId("curve-area").setAttribute("points", "0,155 " + points.join(" ") + " 1000,155");
  setText(byId("curve-low"), money(low));
  setText(byId("curve-high"), money(high));
  setText(byId("curve-from"), clockTime(from));
  setText(byId("curve-to"), clockTime(to));
}

function bookTable(book, own) {
  const asks = book.asks.slice(0, 5);
  const bids = book.bids.slice(0, 5);
  const largest = Math.max(...[...asks, ...bids].map((entry) => Number(entry.quantity)), 1e-12);
  const table = document.createElement("table");
  table.classList.add("book");
  const level = (entry, name, arrow, touch) => {
    const row = document.createElement("tr");
    row.classList.add(name, ...(touch ? ["touch"] : []));
    const bar = document.createElement("span");
    bar.classList.add("bar");
    bar.style.width = (Number(entry.quantity) / largest) * 100 + "%";
    const depth = cell("td", "", "number", "depth");
    depth.append(bar, cell("span", entry.quantity));
    const mine = own.has(Number(entry.price));
    row.append(cell("td", arrow + (mine ? " \u25c6 own" : "")), cell("td", price(entry.price), "number"), depth);
    return row;
  };
  for (const entry of asks.reverse()) table.append(level(entry, "sell", "\u25bc ask", false));
  bids.forEach((entry, place) => table.append(level(entry, "buy", "\u25b2 bid", place === 0)));
  return table;
}

function showBook(books, orders) {
  const parts = [];
  for (const book of books) {
    const mine = orders.filter((o) => o.venue === book.venue && o.instrument === book.instrument);
    const own = new Set(mine.map((o) => Number(o.price)));
    const age = book.age_ms === null ? "no data yet" : book.age_ms + " ms old";
    parts.push(cell("h3", book.venue + " " + book.instrument + (book.valid ? "" : ": not valid"), book.valid ? "" : "bad"));
    parts.push(bookTable(book, own), cell("p", age, "quiet"));
  }
  if (parts.length === 0) parts.push(cell("p", "no market data yet", "quiet"));
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
  const lines = reasons.map((text) => cell("li", "\u25cb " + text, "bad"));
  byId("reasons").replaceChildren(...(lines.length > 0 ? lines : [cell("li", "\u25cf nothing prevents trading", "good")]));
  const health = byId("health");
  health.className = reasons.length === 0 ? "health good" : "health bad";
  setText(health, reasons.length === 0 ? "\u25cf ready" : "\u25cb " + reasons[0]);
}

// A frame holds the newest orders only; older ones that still rest are asked for, page by page.
let older = [];
let olderAsked = 0;

async function askOlder(wanted) {
  const found = [];
  let cursor = "";
  for (let page = 0; page < OLDER_PAGES_MAX && found.length < wanted; page += 1) {
    const list = await ask("/api/v1/orders?limit=500" + cursor);
    found.push(...list.items.filter((o) => o.open));
    if (list.next === null) break;
    cursor = "&cursor=" + list.next;
  }
  older = found;
}

function openOrders(frame) {
  const newest = new Set(frame.orders.map((o) => o.client_order_id));
  const open = frame.orders.filter((o) => o.open);
  const wanted = frame.status.open_orders;
  if (open.length >= wanted) return open;
  if (Date.now() - olderAsked > OLDER_STEP_MS) {
    olderAsked = Date.now();
    askOlder(wanted).catch(() => {});
  }
  return open.concat(older.filter((o) => !newest.has(o.client_order_id))).slice(0, Math.max(wanted, open.length));
}

function show(frame) {
  const status = frame.status;
  badge("mode", status.mode);
  badge("trading", status.trading);
  showHealth(status);
  setText(byId("time"), clockTime(status.time) + " UTC");
  const valued = status.equity !== null;
  setText(byId("equity"), valued ? money(status.equity) : "...");
  setText(byId("quote"), status.quote);
  const day = byId("day-pnl");
  setText(day, gain(status.day_pnl));
  day.className = "number " + signLook(status.day_pnl);
  setText(byId("fees"), money(status.fees));
  setText(byId("open-orders"), status.open_orders);
  const unknown = byId("unknown-orders");
  setText(unknown, status.unknown_orders);
  unknown.className = status.unknown_orders > 0 ? "number bad" : "number";
  setText(byId("version"), "steadfast " + status.version);
  setText(byId("uptime"), "up " + span(status.uptime_seconds));
  document.title = (valued ? money(status.equity) + " " + status.quote + " \u00b7 " : "") + "steadfast";
  byId("pause").disabled = status.trading !== "active";
  byId("resume").disabled = status.trading !== "reduce_only";
  byId("halt").disabled = status.trading === "halted";
  if (valued) addPoint(Date.parse(status.time), status.equity);
  drawCurve();
  const open = openOrders(frame);
  showBook(frame.book, open);
  fillTable("positions", [
    minor(column("instrument", (p) => p.instrument)),
    column("strategy", (p) => p.strategy),
    numbers("size", (p) => signed(p.quantity)),
    minor(numbers("leverage", (p) => p.futures && p.futures.leverage !== null ? `${p.futures.leverage}\u00d7` : "\u2013")),
    minor(numbers("liquidation", (p) => price(p.futures ? p.futures.liquidation : null))),
    minor(numbers("entry", (p) => price(p.entry))),
    minor(numbers("mark", (p) => price(p.mark))),
    numbers("unrealised", (p) => gain(p.unrealised), (p) => signLook(p.unrealised)),
    minor(numbers("funding", (p) => gain(p.futures ? p.futures.funding : null), (p) => signLook(p.futures ? p.futures.funding : null))),
    numbers("realised", (p) => gain(p.realised), (p) => signLook(p.realised)),
  ], frame.positions, "nothing is held");
  fillTable("orders", [
    minor(column("instrument", (o) => o.instrument)),
    column("side", side, sideLook),
    numbers("price", (o) => price(o.price)),
    numbers("size", (o) => o.quantity),
    minor(numbers("filled", (o) => size(o.filled))),
    column("state", (o) => o.state.replaceAll("_", " "), (o) => (o.state === "unknown" ? "bad" : "")),
    column("strategy", (o) => o.strategy),
    minor(column("id", (o) => o.client_order_id, () => "code")),
    ...(open.some((o) => o.note) ? [minor(column("note", (o) => o.note, () => "note"))] : []),
  ], open, "nothing rests");
  fillTable("fills", [
    column("time", (f) => clockTime(f.time)),
    minor(column("instrument", (f) => f.instrument)),
    column("side", side, sideLook),
    numbers("price", (f) => price(f.price)),
    numbers("size", (f) => f.quantity),
    minor(numbers("fee", (f) => small(f.fee) + " " + f.fee_asset)),
    minor(column("as", (f) => f.liquidity)),
    column("strategy", (f) => f.strategy),
  ], frame.fills, "no fill yet");
  fillTable("strategies", [
    column("strategy", (s) => s[0]),
    numbers("orders", (s) => s[1].orders),
    numbers("fills", (s) => s[1].fills),
    numbers("maker", (s) => s[1].maker_fills),
    numbers("refused", (s) => s[1].refused),
  ], Object.entries(status.strategies), "no strategy");
  fillTable("feeds", [
    column("feed", (f) => f.venue + " " + f.channel + (f.instrument ? " " + f.instrument : "")),
    column("", (f) => (f.valid ? "\u25cf up" : "\u25cb down"), (f) => (f.valid ? "good" : "bad")),
    numbers("age", (f) => (f.age_ms === null ? "\u2013" : f.age_ms + " ms")),
  ], status.feeds, "no feed");
  fillTable("clocks", [
    column("clock against", (c) => c.venue),
    numbers("skew", (c) => (c.skew_us === null ? "not known" : (c.skew_us / 1000).toFixed(1) + " ms")),
    numbers("within", (c) => (c.uncertainty_us === null ? "\u2013" : "\u00b1" + (c.uncertainty_us / 1000).toFixed(1) + " ms")),
  ], status.clocks, "no clock measured");
  fillTable("balances", [
    column("account", (b) => b.venue),
    column("asset", (b) => (b.wallet === "usdt-futures" ? b.asset + " (futures)" : b.asset)),
    numbers("available", (b) => price(b.available)),
    numbers("held", (b) => price(b.held)),
  ], frame.balances, "no balance known");
  fillTable("keys", [
    column("key", (k) => k.alias),
    minor(column("account", (k) => k.venue)),
    column("status", (k) => k.status.toLowerCase(), (k) => (k.status.toLowerCase() === "active" ? "good" : "bad")),
    column("may", (k) => k.permissions.join(", ")),
    minor(column("address-bound", (k) => yesNo(k.ip_bound))),
    column("rotate by", (k) => (k.rotation_due ? k.rotation_due.slice(0, 10) : "")),
  ], status.keys, "no key linked");
  fillTable("hops", [
    column("hop", (h) => HOPS[h[0]] ?? h[0]),
    numbers("orders", (h) => h[1].count),
    numbers("p50", (h) => nanos(h[1].p50_ns)),
    numbers("p99", (h) => nanos(h[1].p99_ns)),
  ], inOrder(status.hops), "no order yet");
  fillTable("actors", [
    column("actor", (a) => a.name),
    column("", (a) => (a.up ? "\u25cf up" : "\u25cb down"), (a) => (a.up ? "good" : "bad")),
    numbers("restarts", (a) => a.restarts),
    numbers("waiting", (a) => (a.mailbox_capacity > 0 ? a.mailbox_depth + " / " + a.mailbox_capacity : "\u2013")),
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
  if (!answer.ok) throw Object.assign(new Error(body.title + ": " + body.detail), { code: body.code });
  return body;
}

function post(verb, headers) {
  return ask("/api/v1/" + verb, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify({ reason: "from the live page" }),
  });
}

async function act(verb) {
  try {
    const done = await post(verb, {}).catch((error) => {
      const code = error.code === "step_up_needed" ? prompt("One-time code of your authenticator:") : null;
      if (!code) throw error;
      return post(verb, { "X-Totp": code.trim() });
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
