// Drives an embedded exchange with unmodified ccxt for JavaScript, REST and streams.
//
// Usage: node ccxt_steps.mjs READY_JSON classic|uta
// READY_JSON is the line that `steadfast sim` prints. Packages come from NODE_PATH's directory.

import { createRequire } from "node:module";

const require = createRequire(process.env.CLIENT_PACKAGES + "/");
const ccxt = require("ccxt");

const ready = JSON.parse(process.argv[2]);
const mode = process.argv[3];
const uta = mode === "uta";
const streams = ready.ws_public.split("/v2/")[0];
let steps = 0;

function done(name) {
    steps += 1;
    console.log(`ok ${mode} ${name}`);
}

function check(name, truth, detail) {
    if (!truth) throw new Error(`${mode} ${name}: ${JSON.stringify(detail)}`);
    done(name);
}

async function refused(name, kind, code, call) {
    try {
        await call();
    } catch (error) {
        return check(name, error instanceof kind && String(error).includes(code), String(error));
    }
    throw new Error(`${mode} ${name}: was not refused`);
}

function soon(name, promise, seconds = 15) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${mode} ${name}: nothing came`)), seconds * 1000);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Sends everything to the embedded exchange instead of the real venue.
function moved(value) {
    if (typeof value === "string" && value.startsWith("wss://")) {
        return streams + value.slice(value.indexOf("/", "wss://".length));
    }
    if (typeof value === "string") return ready.rest;
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, moved(inner)]));
}

function exchange(changes = {}) {
    const x = new ccxt.pro.bitget({
        apiKey: ready.key, secret: ready.secret, password: ready.passphrase, enableRateLimit: false, ...changes,
    });
    x.urls.api = moved(x.urls.api);
    return x;
}

async function market(x, symbol) {
    const ticker = await x.fetchTicker(symbol);
    check(`${symbol} ticker`, ticker.last > 0 && ticker.bid < ticker.ask, ticker);
    const book = await x.fetchOrderBook(symbol, 5);
    check(`${symbol} book`, book.bids.length === 5 && book.bids[0][0] < book.asks[0][0], book);
    const rows = await x.fetchOHLCV(symbol, "1h", undefined, 10);
    check(`${symbol} candles`, rows.length === 10, rows);
    check(`${symbol} trades`, (await x.fetchTrades(symbol)).length > 0);
    return ticker.last;
}

async function orders(x, symbol, last) {
    const price = Number(x.priceToPrecision(symbol, last * 0.97));
    const oid = `${mode}-js-${symbol.includes(":") ? "swap" : "spot"}`;
    const order = await x.createOrder(symbol, "limit", "buy", 0.01, price, { clientOid: oid });
    const open = (await x.fetchOpenOrders(symbol)).filter((it) => it.id === order.id);
    check(`${symbol} open orders`, open.length === 1 && open[0].price === price, open);
    const one = await x.fetchOrder(order.id, symbol);
    check(`${symbol} order`, one.status === "open" && one.clientOrderId === oid, one);
    await x.cancelOrder(order.id, symbol);
    check(`${symbol} cancelled`, (await x.fetchOpenOrders(symbol)).length === 0);
    await refused(`${symbol} cancel again`, ccxt.ExchangeError, uta ? "25204" : "43001", () => x.cancelOrder(order.id, symbol));
}

async function watch(x, symbol, last) {
    const params = uta ? { uta: true } : {};
    const swap = symbol.includes(":");
    check(`${symbol} watch ticker`, (await soon("ticker", x.watchTicker(symbol, { ...params }))).last > 0);
    let book;
    for (let times = 0; times < 8; times += 1) book = await soon("book", x.watchOrderBook(symbol, undefined, { ...params }));
    check(`${symbol} watch book`, book.bids[0][0] < book.asks[0][0], book.bids[0]);
    const short = await soon("five prices", x.watchOrderBook(symbol, 5, { ...params }));
    check(`${symbol} watch five prices`, short.bids.length > 0, short.bids);
    check(`${symbol} watch trades`, (await soon("trades", x.watchTrades(symbol, undefined, undefined, { ...params }))).length > 0);
    check(`${symbol} watch candles`, (await soon("candles", x.watchOHLCV(symbol, "1m", undefined, undefined, { ...params }))).length > 0);
    const told = x.watchOrders(symbol, undefined, undefined, { ...params });
    const fills = x.watchMyTrades(symbol, undefined, undefined, { ...params });
    const balance = x.watchBalance(swap && !uta ? { type: "swap" } : { ...params });
    await new Promise((resolve) => setTimeout(resolve, 500));
    const amount = uta && !swap ? 100 : 0.01;
    const order = await x.createOrder(symbol, "market", "buy", amount, last);
    check(`${symbol} watch orders`, (await soon("orders", told)).at(-1).id === order.id);
    check(`${symbol} watch fills`, (await soon("fills", fills)).at(-1).order === order.id);
    check(`${symbol} watch balance`, (await soon("balance", balance)).USDT.free > 0);
    if (swap) {
        await soon("positions", x.watchPositions([symbol], undefined, undefined, { ...params }));
        done(`${symbol} watch positions`);
        check(`${symbol} position`, (await x.fetchPositions([symbol]))[0].contracts === 0.01);
        await x.closePosition(symbol);
        check(`${symbol} closed`, (await x.fetchPositions([symbol])).length === 0);
    }
}

const x = exchange();
try {
    await x.loadHttpProxyAgent();
    const markets = await x.loadMarkets();
    check("markets", "BTC/USDT" in markets && "BTC/USDT:USDT" in markets, Object.keys(markets));
    check("account is recognised", x.options.uta === uta, x.options.uta);
    check("time", Math.abs((await x.fetchTime()) - Date.now()) < 60000);
    check("balance", (await x.fetchBalance()).USDT.free > 0);
    for (const symbol of ["BTC/USDT", "BTC/USDT:USDT"]) {
        const last = await market(x, symbol);
        await orders(x, symbol, last);
        await watch(x, symbol, last);
    }
    const balance = (changes) => () => exchange(changes).fetchBalance({ uta });
    await refused("wrong secret", ccxt.AuthenticationError, "40009", balance({ secret: "wrong" }));
    await refused("wrong passphrase", ccxt.AuthenticationError, "40012", balance({ password: "wrong" }));
    console.log(`passed ${mode}: ${steps} steps`);
} finally {
    await x.close();
}
process.exit(0);
