"""Drives an embedded exchange with unmodified ccxt: every step of a trader, and what must be refused.

Usage: ccxt_steps.py READY_JSON classic|uta
READY_JSON is the line that `steadfast sim` prints. Prints one line for each step; the first failure ends it.
"""

import asyncio
import json
import sys

import ccxt
import ccxt.pro


def point(exchange, rest, streams):
    """Sends everything to the exchange at `rest` and `streams` instead of the real venue."""

    def moved(value, key=""):
        if isinstance(value, dict):
            return {name: moved(inner, name) for name, inner in value.items()}
        if isinstance(value, str) and value.startswith("wss://"):
            return streams + value[value.index("/", len("wss://")) :]
        if isinstance(value, str):
            return rest
        return value

    exchange.urls["api"] = moved(exchange.urls["api"])
    return exchange


class Steps:
    def __init__(self, ready, mode):
        self.ready = ready
        self.mode = mode
        self.uta = mode == "uta"
        self.streams = ready["ws_public"].split("/v2/")[0]
        self.count = 0

    def options(self, **changes):
        config = {
            "apiKey": self.ready["key"],
            "secret": self.ready["secret"],
            "password": self.ready["passphrase"],
            "enableRateLimit": False,
        }
        config.update(changes)
        return config

    def sync(self, **changes):
        return point(ccxt.bitget(self.options(**changes)), self.ready["rest"], self.streams)

    def done(self, name, detail=""):
        self.count += 1
        print(f"ok {self.mode} {name} {detail}".rstrip(), flush=True)

    def check(self, name, truth, detail=""):
        if not truth:
            raise AssertionError(f"{self.mode} {name}: {detail}")
        self.done(name)

    def refused(self, name, kind, code, call):
        try:
            call()
        except kind as error:
            self.check(name, code in str(error), f"expected {code}: {error}")
        else:
            raise AssertionError(f"{self.mode} {name}: was not refused")

    def market(self, x, symbol, timeframes):
        ticker = x.fetch_ticker(symbol)
        self.check(f"{symbol} ticker", ticker["last"] > 0 and ticker["bid"] < ticker["ask"], ticker)
        self.check(f"{symbol} tickers", symbol in x.fetch_tickers([symbol]))
        book = x.fetch_order_book(symbol, 5)
        self.check(f"{symbol} book", len(book["bids"]) == 5 and book["bids"][0][0] < book["asks"][0][0], book)
        trades = x.fetch_trades(symbol, limit=20)
        self.check(f"{symbol} trades", len(trades) > 0 and trades[0]["price"] > 0, trades)
        for timeframe in timeframes:
            rows = x.fetch_ohlcv(symbol, timeframe, limit=10)
            whole = all(row[3] <= row[1] <= row[2] and row[5] > 0 for row in rows)
            self.check(f"{symbol} candles {timeframe}", len(rows) >= 3 and whole, rows)
        return ticker

    def spot(self, x):
        symbol = "BTC/USDT"
        last = self.market(x, symbol, ["1m", "5m", "1h", "1d"])["last"]
        balance = x.fetch_balance()
        self.check("balance", balance["USDT"]["free"] == 100000 and balance["BTC"]["total"] == 2, balance["USDT"])
        fee = x.fetch_trading_fee(symbol)
        self.check("trading fee", fee["maker"] == 0.001, fee)

        order = x.create_order(symbol, "limit", "buy", 0.001, round(last * 0.97, 2), {"clientOid": f"{self.mode}-spot-1"})
        self.check("limit order", bool(order["id"]), order)
        opened = x.fetch_open_orders(symbol)
        mine = [it for it in opened if it["id"] == order["id"]]
        self.check("open orders", len(mine) == 1 and mine[0]["price"] == round(last * 0.97, 2), opened)
        self.check("open amount", mine[0]["amount"] == 0.001 and mine[0]["status"] == "open", mine)
        one = x.fetch_order(order["id"], symbol)
        self.check("order by id", one["status"] == "open" and one["side"] == "buy", one)
        self.check("order's client id", one["clientOrderId"] == f"{self.mode}-spot-1", one)
        by_client = x.fetch_order(None, symbol, {"clientOid": f"{self.mode}-spot-1"}) if self.uta else None
        self.check("order by client id", not self.uta or by_client["id"] == order["id"], by_client)
        held = x.fetch_balance()["USDT"]
        self.check("funds are held", held["used"] > 0, held)
        edited = x.edit_order(order["id"], symbol, "limit", "buy", 0.002, round(last * 0.96, 2))
        self.check("edit order", bool(edited["id"]), edited)
        now = [it for it in x.fetch_open_orders(symbol) if it["amount"] == 0.002]
        self.check("edited", len(now) == 1, now)
        x.cancel_order(now[0]["id"], symbol)
        self.check("cancelled", x.fetch_open_orders(symbol) == [])
        self.refused("cancel again", ccxt.ExchangeError, "25204" if self.uta else "43001", lambda: x.cancel_order(now[0]["id"], symbol))
        self.check("cancelled order", x.fetch_order(now[0]["id"], symbol)["status"] == "canceled")

        post = x.create_order(symbol, "limit", "buy", 0.001, round(last * 1.01, 2), {"postOnly": True})
        self.check("post-only that would take is cancelled", x.fetch_order(post["id"], symbol)["status"] == "canceled", post)
        rests = x.create_order(symbol, "limit", "sell", 0.001, round(last * 1.03, 2), {"postOnly": True})
        self.check("post-only rests", x.fetch_order(rests["id"], symbol)["status"] == "open", rests)
        x.cancel_all_orders(symbol)
        self.check("cancel all", x.fetch_open_orders(symbol) == [])

        # Unified accounts take the quote to spend, and ccxt passes the amount on as it is.
        amount = 100 if self.uta else 0.002
        bought = x.create_order(symbol, "market", "buy", amount, last)
        done = x.fetch_order(bought["id"], symbol)
        self.check("market buy", done["status"] == "closed" and done["filled"] > 0 and (self.uta or done["cost"] > 0), done)
        sold = x.create_order(symbol, "market", "sell", 0.001)
        done = x.fetch_order(sold["id"], symbol)
        self.check("market sell", done["status"] == "closed" and done["filled"] == 0.001, done)
        ioc = x.create_order(symbol, "limit", "buy", 0.001, round(last * 1.01, 2), {"timeInForce": "IOC"})
        self.check("immediate or cancel", x.fetch_order(ioc["id"], symbol)["status"] == "closed", ioc)
        mine = x.fetch_my_trades(symbol)
        self.check("my trades", len(mine) >= 3 and all(it["fee"]["cost"] for it in mine), mine)
        closed = x.fetch_closed_orders(symbol)
        self.check("closed orders", any(it["id"] == sold["id"] for it in closed), closed)
        canceled = x.fetch_canceled_orders(symbol)
        self.check("cancelled orders", any(it["id"] == post["id"] for it in canceled), canceled)
        self.check("ledger", len(x.fetch_ledger("USDT")) > 0)

        batch = x.create_orders([
            {"symbol": symbol, "type": "limit", "side": "buy", "amount": 0.001, "price": round(last * share, 2)}
            for share in (0.97, 0.98)
        ])
        self.check("batch", len(batch) == 2 and all(it["id"] for it in batch), batch)
        gone = x.cancel_orders([it["id"] for it in batch], symbol)
        self.check("cancel batch", len(gone) == 2 and x.fetch_open_orders(symbol) == [], gone)

        self.refused("too small", ccxt.ExchangeError, "25611" if self.uta else "45110",
                     lambda: x.create_order(symbol, "limit", "buy", 0.000001, round(last * 0.97, 2)))
        self.refused("no funds", ccxt.ExchangeError if self.uta else ccxt.InsufficientFunds, "25202" if self.uta else "43012",
                     lambda: x.create_order(symbol, "limit", "buy", 100, round(last * 0.97, 2)))
        x.create_order(symbol, "limit", "buy", 0.001, round(last * 0.97, 2), {"clientOid": f"{self.mode}-twice"})
        self.refused("client id twice", ccxt.ExchangeError, "25212" if self.uta else "40786",
                     lambda: x.create_order(symbol, "limit", "buy", 0.001, round(last * 0.97, 2), {"clientOid": f"{self.mode}-twice"}))
        x.cancel_all_orders(symbol)

    def swap(self, x):
        symbol = "BTC/USDT:USDT"
        uta = {"uta": True} if self.uta else {}
        last = self.market(x, symbol, ["1m", "1h", "1d"])["last"]
        market = x.market(symbol)
        self.check("contract", market["linear"] and market["settle"] == "USDT" and market["contractSize"] == 1, market)
        rate = x.fetch_funding_rate(symbol)
        self.check("funding rate", rate["fundingRate"] is not None and rate["fundingTimestamp"] > x.milliseconds(), rate)
        self.check("funding history", isinstance(x.fetch_funding_rate_history(symbol), list))
        self.check("open interest", x.fetch_open_interest(symbol)["symbol"] == symbol)
        tiers = x.fetch_market_leverage_tiers(symbol)
        self.check("leverage tiers", len(tiers) > 0 and tiers[0]["maxLeverage"] >= 20, tiers)
        balance = x.fetch_balance({"type": "swap", **uta})
        self.check("swap balance", balance["USDT"]["free"] > 1000, balance.get("USDT"))
        if not self.uta:
            moved = x.transfer("USDT", 100, "spot", "swap")
            self.check("transfer", bool(moved["id"]), moved)
        x.set_leverage(10, symbol)
        self.done("set leverage")
        if not self.uta:
            leverage = x.fetch_leverage(symbol)
            self.check("leverage", leverage["longLeverage"] == 10, leverage)
            x.set_margin_mode("cross", symbol)
            self.done("set margin mode")
        x.set_position_mode(False, symbol)
        self.done("one-way mode")
        self.check("no position", x.fetch_positions([symbol]) == [])

        rests = x.create_order(symbol, "limit", "buy", 0.01, round(last * 0.97, 1), {"clientOid": f"{self.mode}-swap-1"})
        opened = [it for it in x.fetch_open_orders(symbol) if it["id"] == rests["id"]]
        self.check("open orders", len(opened) == 1 and opened[0]["amount"] == 0.01, opened)
        one = x.fetch_order(rests["id"], symbol)
        self.check("order by id", one["status"] == "open" and one["price"] == round(last * 0.97, 1), one)
        self.check("order's client id", one["clientOrderId"] == f"{self.mode}-swap-1", one)
        by_client = x.fetch_order(None, symbol, {"clientOid": f"{self.mode}-swap-1"}) if self.uta else one
        self.check("order by client id", by_client["id"] == rests["id"], by_client)
        new = {} if self.uta else {"newClientOid": f"{self.mode}-swap-2"}
        edited = x.edit_order(rests["id"], symbol, "limit", "buy", 0.02, round(last * 0.96, 1), new)
        self.check("edit order", bool(edited["id"]), edited)
        changed = x.fetch_open_orders(symbol)
        self.check("edited", len(changed) == 1 and changed[0]["amount"] == 0.02, changed)
        x.cancel_order(changed[0]["id"], symbol)
        self.check("cancelled", x.fetch_open_orders(symbol) == [])
        self.check("cancelled order", x.fetch_order(changed[0]["id"], symbol)["status"] == "canceled")
        post = x.create_order(symbol, "limit", "buy", 0.01, round(last * 1.01, 1), {"postOnly": True})
        self.check("post-only that would take is cancelled", x.fetch_order(post["id"], symbol)["status"] == "canceled", post)

        bought = x.create_order(symbol, "market", "buy", 0.02)
        done = x.fetch_order(bought["id"], symbol)
        self.check("market buy", done["status"] == "closed" and done["filled"] == 0.02, done)
        held = x.fetch_positions([symbol])
        self.check("position", len(held) == 1 and held[0]["side"] == "long" and held[0]["contracts"] == 0.02, held)
        self.check("position's figures", held[0]["leverage"] == 10 and held[0]["markPrice"] > 0 and held[0]["entryPrice"] > 0, held)
        self.check("one position", x.fetch_position(symbol)["contracts"] == 0.02)
        x.create_order(symbol, "limit", "sell", 0.01, round(last * 1.03, 1), {"reduceOnly": True})
        reducing = x.fetch_open_orders(symbol)
        self.check("reduce-only rests", len(reducing) == 1 and reducing[0]["reduceOnly"], reducing)
        x.cancel_all_orders(symbol)
        self.check("cancel all", x.fetch_open_orders(symbol) == [])
        x.close_position(symbol)
        self.check("closed", x.fetch_positions([symbol]) == [])
        mine = x.fetch_my_trades(symbol)
        self.check("my trades", len(mine) >= 2 and all(it["fee"]["cost"] for it in mine), mine)
        self.check("closed orders", any(it["id"] == bought["id"] for it in x.fetch_closed_orders(symbol)))
        past = x.fetch_positions_history([symbol])
        self.check("position history", len(past) == 1 and past[0]["entryPrice"] > 0, past)

        x.set_position_mode(True, symbol)
        self.done("hedge mode")
        x.create_order(symbol, "market", "buy", 0.02, None, {"hedged": True})
        x.create_order(symbol, "market", "sell", 0.01, None, {"hedged": True})
        sides = {it["side"]: it["contracts"] for it in x.fetch_positions([symbol])}
        self.check("both positions", sides == {"long": 0.02, "short": 0.01}, sides)
        x.create_order(symbol, "market", "sell", 0.01, None, {"hedged": True, "reduceOnly": True})
        sides = {it["side"]: it["contracts"] for it in x.fetch_positions([symbol])}
        self.check("selling closes a part of the long one", sides == {"long": 0.01, "short": 0.01}, sides)
        x.create_order(symbol, "market", "buy", 0.01, None, {"hedged": True, "reduceOnly": True})
        x.create_order(symbol, "market", "sell", 0.01, None, {"hedged": True, "reduceOnly": True})
        self.check("both closed", x.fetch_positions([symbol]) == [])
        x.set_position_mode(False, symbol)
        self.done("one-way mode again")

        batch = x.create_orders([
            {"symbol": symbol, "type": "limit", "side": "buy", "amount": 0.01, "price": round(last * share, 1)}
            for share in (0.97, 0.98)
        ])
        self.check("batch", len(batch) == 2 and all(it["id"] for it in batch), batch)
        gone = x.cancel_orders([it["id"] for it in batch], symbol)
        self.check("cancel batch", len(gone) == 2 and x.fetch_open_orders(symbol) == [], gone)
        self.refused("too little margin", ccxt.ExchangeError if self.uta else ccxt.InsufficientFunds, "25202" if self.uta else "40762",
                     lambda: x.create_order(symbol, "limit", "buy", 100, round(last * 0.99, 1)))
        self.refused("nothing to close", ccxt.ExchangeError, "25227" if self.uta else "22002", lambda: x.close_position(symbol))

    def credentials(self):
        wrong = self.sync(secret="wrong")
        self.refused("wrong secret", ccxt.AuthenticationError, "40009", lambda: self.balance(wrong))
        wrong = self.sync(password="wrong")
        self.refused("wrong passphrase", ccxt.AuthenticationError, "40012", lambda: self.balance(wrong))
        wrong = self.sync(apiKey="bg_unknown")
        self.refused("unknown key", ccxt.AuthenticationError, "40006", lambda: self.balance(wrong))
        late = self.sync()
        late.nonce = lambda: late.milliseconds() - 60_000
        self.refused("old timestamp", ccxt.InvalidNonce, "40008", lambda: self.balance(late))
        key = self.ready["read_only"]
        reader = self.sync(apiKey=key["key"], secret=key["secret"], password=key["passphrase"])
        self.balance(reader)
        self.refused("no right to trade", ccxt.PermissionDenied, "40014",
                     lambda: reader.create_order("BTC/USDT", "limit", "buy", 0.001, 50000))

    def balance(self, x):
        return x.fetch_balance({"uta": self.uta})

    async def streaming(self):
        x = point(ccxt.pro.bitget(self.options()), self.ready["rest"], self.streams)
        uta = {"uta": True} if self.uta else {}
        try:
            await x.load_markets()
            await self.watch(x, "BTC/USDT", uta)
            await self.watch(x, "BTC/USDT:USDT", uta)
        finally:
            await x.close()

    async def soon(self, name, awaitable, seconds=15):
        try:
            return await asyncio.wait_for(awaitable, seconds)
        except asyncio.TimeoutError as error:
            raise AssertionError(f"{self.mode} {name}: nothing came") from error

    async def watch(self, x, symbol, uta):
        ticker = await self.soon("watch ticker", x.watch_ticker(symbol, dict(uta)))
        self.check(f"{symbol} watch ticker", ticker["last"] > 0, ticker)
        for _ in range(8):
            book = await self.soon("watch book", x.watch_order_book(symbol, None, dict(uta)))
        self.check(f"{symbol} watch book", book["bids"][0][0] < book["asks"][0][0], book["bids"][:1])
        trades = await self.soon("watch trades", x.watch_trades(symbol, None, None, dict(uta)))
        self.check(f"{symbol} watch trades", len(trades) > 0 and trades[0]["amount"] > 0, trades)
        rows = await self.soon("watch candles", x.watch_ohlcv(symbol, "1m", None, None, dict(uta)))
        self.check(f"{symbol} watch candles", len(rows) > 0 and rows[-1][4] > 0, rows)
        swap = x.market(symbol)["swap"]
        kind = {"type": "swap"} if swap and not uta else {}
        orders = asyncio.ensure_future(x.watch_orders(symbol, None, None, dict(uta)))
        fills = asyncio.ensure_future(x.watch_my_trades(symbol, None, None, dict(uta)))
        balance = asyncio.ensure_future(x.watch_balance({**uta, **kind}))
        await asyncio.sleep(0.5)
        last = (await x.fetch_ticker(symbol))["last"]
        amount = (100 if uta and not swap else 0.002) if not swap else 0.01
        order = await x.create_order(symbol, "market", "buy", amount, last)
        # A unified account is subscribed once for both markets, and told again when something happens.
        told = await self.soon("watch balance", balance)
        self.check(f"{symbol} watch balance", told["USDT"]["total"] > 0 or told["USDT"]["free"] > 0, told)
        told = await self.soon("watch orders", orders)
        self.check(f"{symbol} watch orders", told[-1]["id"] == order["id"], told)
        told = await self.soon("watch fills", fills)
        self.check(f"{symbol} watch fills", told[-1]["order"] == order["id"] and told[-1]["fee"]["cost"], told)
        if swap:
            await self.soon("watch positions", x.watch_positions([symbol], None, None, dict(uta)))
            self.done(f"{symbol} watch positions")
            await x.create_order(symbol, "market", "sell", amount, last, {"reduceOnly": True})

    def run(self):
        x = self.sync()
        markets = x.load_markets()
        self.check("markets", "BTC/USDT" in markets, list(markets))
        self.check("time", abs(x.fetch_time() - x.milliseconds()) < 60_000)
        self.check("account is recognised", x.options["uta"] == self.uta, x.options["uta"])
        self.spot(x)
        self.swap(x)
        self.credentials()
        asyncio.run(self.streaming())
        print(f"passed {self.mode}: {self.count} steps", flush=True)


if __name__ == "__main__":
    Steps(json.loads(sys.argv[1]), sys.argv[2]).run()
