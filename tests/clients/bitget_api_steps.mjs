// Drives an embedded exchange with unmodified bitget-api (npm): REST and streams of v2 and v3.
//
// Usage: node bitget_api_steps.mjs READY_JSON classic|uta

import { createRequire } from "node:module";

const require = createRequire(process.env.CLIENT_PACKAGES + "/");
const { RestClientV2, RestClientV3, WebsocketAPIClient, WebsocketClientV2, WebsocketClientV3, WS_KEY_MAP } =
    require("bitget-api");

const ready = JSON.parse(process.argv[2]);
const mode = process.argv[3];
const uta = mode === "uta";
const credentials = { apiKey: ready.key, apiSecret: ready.secret, apiPass: ready.passphrase };
const quiet = { trace() {}, info() {}, error() {} };
let steps = 0;

function check(name, truth, detail) {
    if (!truth) throw new Error(`${mode} ${name}: ${JSON.stringify(detail)}`);
    steps += 1;
    console.log(`ok ${mode} ${name}`);
}

async function refused(name, code, call) {
    try {
        await call();
    } catch (error) {
        return check(name, error?.body?.code === code, error?.body ?? String(error));
    }
    throw new Error(`${mode} ${name}: was not refused`);
}

// The first of a client's events that fits, and every one before it is looked at.
function heard(client, event, fits, name, seconds = 15) {
    return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${mode} ${name}: nothing came`)), seconds * 1000);
        client.on(event, (told) => {
            if (fits(told)) {
                clearTimeout(timer);
                resolve(told);
            }
        });
    });
}

async function classic() {
    const client = new RestClientV2({ ...credentials, baseUrl: ready.rest });
    check("time", Math.abs(Number((await client.getServerTime()).data.serverTime) - Date.now()) < 60000);
    check("symbols", (await client.getSpotSymbolInfo({ symbol: "BTCUSDT" })).data[0].symbol === "BTCUSDT");
    check("coins", (await client.getSpotCoinInfo()).data.length >= 3);
    const ticker = (await client.getSpotTicker({ symbol: "BTCUSDT" })).data[0];
    check("ticker", Number(ticker.lastPr) > 0, ticker);
    check("candles", (await client.getSpotCandles({ symbol: "BTCUSDT", granularity: "1h", limit: "5" })).data.length === 5);
    check("merged depth", (await client.getSpotMergeDepth({ symbol: "BTCUSDT" })).data.asks.length > 0);
    const info = (await client.getSpotAccount()).data;
    check("key's rights", info.authorities.includes("stow") && info.authorities.includes("coow"), info);
    check("assets", (await client.getSpotAccountAssets({ coin: "USDT" })).data[0].available === "100000");
    const price = (Number(ticker.lastPr) * 0.97).toFixed(2);
    const order = { symbol: "BTCUSDT", side: "buy", orderType: "limit", force: "gtc", price, size: "0.001" };
    const placed = (await client.spotSubmitOrder({ ...order, clientOid: "api-1" })).data;
    check("order", placed.clientOid === "api-1" && placed.orderId.length === 19, placed);
    check("order by client id", (await client.getSpotOrder({ clientOid: "api-1" })).data[0].status === "live");
    check("open orders", (await client.getSpotOpenOrders({ symbol: "BTCUSDT" })).data.length === 1);
    check("cancel", (await client.spotCancelOrder({ symbol: "BTCUSDT", clientOid: "api-1" })).data.orderId === placed.orderId);
    await refused("cancel again", "43001", () => client.spotCancelOrder({ symbol: "BTCUSDT", orderId: placed.orderId }));
    const batch = (await client.spotBatchSubmitOrders({ symbol: "BTCUSDT", orderList: [order, { ...order, price: "bad" }] })).data;
    check("batch", batch.successList.length === 1 && batch.failureList[0].errorCode === "40017", batch);
    await client.spotCancelSymbolOrder({ symbol: "BTCUSDT" });
    check("all cancelled", (await client.getSpotOpenOrders({ symbol: "BTCUSDT" })).data.length === 0);

    const product = { productType: "USDT-FUTURES" };
    const named = { symbol: "BTCUSDT", ...product };
    check("contracts", (await client.getFuturesContractConfig(product)).data[0].symbol === "BTCUSDT");
    const depth = (await client.getFuturesMergeDepth(named)).data;
    check("futures depth has numbers", typeof depth.asks[0][0] === "number", depth.asks[0]);
    check("funding", (await client.getFuturesCurrentFundingRate(named)).data[0].fundingRate !== undefined);
    check("futures account", (await client.getFuturesAccountAsset({ ...named, marginCoin: "USDT" })).data.posMode === "one_way_mode");
    const swap = { ...named, marginCoin: "USDT", marginMode: "crossed", side: "buy", orderType: "market", size: "0.01" };
    const bought = (await client.futuresSubmitOrder(swap)).data;
    const detail = (await client.getFuturesOrder({ ...named, orderId: bought.orderId })).data;
    check("futures order", detail.state === "filled" && detail.posSide === "net", detail);
    const position = (await client.getFuturesPositions({ ...product, marginCoin: "USDT" })).data[0];
    check("position", position.total === "0.0100" && position.holdSide === "long", position);
    check("closed", (await client.futuresFlashClosePositions({ ...named, holdSide: "long" })).data.successList.length === 1);
    check("flat", (await client.getFuturesPositions({ ...product, marginCoin: "USDT" })).data.length === 0);
    check("bills", (await client.getFuturesAccountBills(product)).data.bills.length >= 2);

    const wrong = (changes) => new RestClientV2({ ...credentials, ...changes, baseUrl: ready.rest });
    await refused("wrong secret", "40009", () => wrong({ apiSecret: "x" }).getSpotAccountAssets());
    await refused("wrong passphrase", "40012", () => wrong({ apiPass: "x" }).getSpotAccountAssets());
    await refused("demo with a live key", "40099", () => wrong({ demoTrading: true }).getSpotAccountAssets());
    await refused("unified call", "40084", () => new RestClientV3({ ...credentials, baseUrl: ready.rest }).getAccountSettings());

    const socket = new WebsocketClientV2({ ...credentials, wsUrl: ready.ws_private }, quiet);
    socket.on("exception", () => {});
    const channel = (name) => (told) => told?.arg?.channel === name;
    const waits = [
        ["ticker", heard(socket, "update", channel("ticker"), "ticker")],
        ["books", heard(socket, "update", (told) => channel("books")(told) && told.action === "update", "books")],
        ["candle1m", heard(socket, "update", channel("candle1m"), "candle1m")],
        ["account", heard(socket, "update", channel("account"), "account")],
        ["orders", heard(socket, "update", (told) => channel("orders")(told) && told.data[0].clientOid === "api-2", "orders")],
        ["positions", heard(socket, "update", channel("positions"), "positions")],
    ];
    for (const name of ["ticker", "books", "candle1m"]) socket.subscribeTopic("SPOT", name, "BTCUSDT");
    socket.subscribeTopic("SPOT", "account");
    socket.subscribeTopic("SPOT", "orders", "BTCUSDT");
    socket.subscribeTopic("USDT-FUTURES", "positions");
    await Promise.all(waits.slice(0, 4).map(([, wait]) => wait));
    await client.spotSubmitOrder({ ...order, clientOid: "api-2" });
    for (const [name, wait] of waits) {
        await wait;
        check(`stream ${name}`, true);
    }
    await client.spotCancelSymbolOrder({ symbol: "BTCUSDT" });
    socket.closeAll(true);
}

async function unified() {
    const client = new RestClientV3({ ...credentials, baseUrl: ready.rest });
    check("settings", (await client.getAccountSettings()).data.accountMode === "hybrid");
    check("key", (await client.getAccountInfo()).data.permType === "read-and-write");
    check("assets", (await client.getBalances()).data.assets.some((coin) => coin.coin === "USDT" && Number(coin.available) > 0));
    for (const category of ["SPOT", "USDT-FUTURES"]) {
        const named = { category, symbol: "BTCUSDT" };
        check(`${category} instruments`, (await client.getInstruments(named)).data[0].category === category);
        const ticker = (await client.getTickers(named)).data[0];
        const book = (await client.getOrderBook({ ...named, limit: 5 })).data;
        check(`${category} book has numbers`, typeof book.a[0][0] === "number" && book.b.length === 5, book.a);
        check(`${category} candles`, (await client.getCandles({ ...named, interval: "1m", limit: "5" })).data[0].length === 7);
        const price = (Number(ticker.lastPrice) * 0.97).toFixed(1);
        const order = { ...named, side: "buy", orderType: "limit", qty: "0.01", price, timeInForce: "gtc" };
        const placed = (await client.submitNewOrder({ ...order, clientOid: `v3-${category}` })).data;
        const found = (await client.getOrderInfo({ clientOid: `v3-${category}` })).data;
        check(`${category} order`, found.orderId === placed.orderId && found.orderStatus === "live", found);
        check(`${category} open orders`, (await client.getUnfilledOrders({ category })).data.list.length === 1);
        await client.cancelOrder({ orderId: placed.orderId });
        await refused(`${category} cancel again`, "25204", () => client.cancelOrder({ orderId: placed.orderId }));
    }
    const swap = { category: "USDT-FUTURES", symbol: "BTCUSDT" };
    await client.submitNewOrder({ ...swap, side: "buy", orderType: "market", qty: "0.01" });
    const position = (await client.getCurrentPosition({ category: "USDT-FUTURES" })).data.list[0];
    check("position", position.total === "0.0100" && position.posSide === "long", position);
    check("fills", (await client.getTradeFills({ category: "USDT-FUTURES" })).data.list[0].execQty !== undefined);
    check("closed", (await client.closeAllPositions(swap)).data.list.length === 1);
    await refused("classic call", "40085", () => new RestClientV2({ ...credentials, baseUrl: ready.rest }).getSpotAccountAssets());
    await refused("wrong secret", "40009", () =>
        new RestClientV3({ ...credentials, apiSecret: "x", baseUrl: ready.rest }).getAccountSettings());

    const url = ready.ws_private.replace("/v2/", "/v3/");
    const socket = new WebsocketClientV3({ ...credentials, wsUrl: url }, quiet);
    socket.on("exception", () => {});
    const topic = (name) => (told) => told?.arg?.topic === name;
    const names = ["ticker", "publicTrade", "kline", "books5", "account", "order"];
    const waits = names.map((name) => [name, heard(socket, "update", topic(name), name)]);
    const subscribe = (name, extra = {}) => socket.subscribe(
        { topic: name, payload: { instType: "spot", symbol: "BTCUSDT", ...extra } }, WS_KEY_MAP.v3Public);
    for (const name of ["ticker", "publicTrade", "books5"]) subscribe(name);
    subscribe("kline", { interval: "1m" });
    for (const name of ["account", "order"]) socket.subscribe({ topic: name, payload: { instType: "UTA" } }, WS_KEY_MAP.v3Private);
    await Promise.all(waits.slice(0, 5).map(([, wait]) => wait));

    const entry = new WebsocketAPIClient({ ...credentials, wsUrl: url, attachEventListeners: false }, quiet);
    const last = Number((await client.getTickers({ category: "SPOT", symbol: "BTCUSDT" })).data[0].lastPrice);
    const order = { symbol: "BTCUSDT", orderType: "limit", qty: "0.001", price: (last * 0.97).toFixed(2), side: "buy", timeInForce: "gtc" };
    const placed = await entry.submitNewOrder("spot", order);
    check("order over a stream", placed.code === "0" && placed.args[0].orderId.length === 19, placed);
    const cancelled = await entry.cancelOrder("spot", { orderId: placed.args[0].orderId });
    check("cancel over a stream", cancelled.code === "0", cancelled);
    try {
        await entry.submitNewOrder("spot", { ...order, qty: "1000" });
        throw new Error("order beyond the balance was not refused");
    } catch (refusal) {
        check("order beyond the balance over a stream", JSON.stringify(refusal).includes("25202"), String(refusal));
    }
    for (const [name, wait] of waits) {
        await wait;
        check(`stream ${name}`, true);
    }
    socket.closeAll(true);
}

await (uta ? unified() : classic());
console.log(`passed ${mode}: ${steps} steps`);
process.exit(0);
