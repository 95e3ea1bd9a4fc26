#!/usr/bin/env python3
"""A second implementation of Bitget's signed requests, written from the venue's documentation alone.

Reads JSON lines from standard input: {"intent": ..., "at_ms": ..., "key": ..., "secret": ..., "passphrase": ...,
"made": {"method", "target", "headers", "body"}}; builds the request of each intent by itself and compares. Prints the
number of requests that agree, or the first that does not, and ends with 1 then.

Only the standard library is used.
"""

import base64
import hashlib
import hmac
import json
import sys

SPOT = "/api/v2/spot"
MIX = "/api/v2/mix"
V3 = "/api/v3"
FUTURES = "USDT-FUTURES"


def decimal(mantissa, decimals):
    """The digits of a positive number with its decimals, as the intent gives them."""
    digits = str(mantissa).rjust(decimals + 1, "0")
    return digits if decimals == 0 else digits[:-decimals] + "." + digits[-decimals:]


def query(pairs):
    """Keys in ascending order."""
    return "&".join(f"{name}={value}" for name, value in sorted(pairs.items()))


def instrument(symbol):
    """The venue's name, and whether it is a perpetual future."""
    if symbol is None:
        return None, False
    return (symbol[: -len("-PERP")], True) if symbol.endswith("-PERP") else (symbol, False)


def classic(intent):
    """Method, target and body of an intent for a classic account."""
    kind = intent["kind"]
    name, futures = instrument(intent.get("symbol"))
    product = {"productType": FUTURES} if futures else {}
    margin = {"productType": FUTURES, "marginCoin": "USDT"} if futures else {}
    which = {"orderId": intent["venue_id"]} if intent.get("venue_id") else {"clientOid": intent.get("id")}
    if kind == "place":
        fields = {
            "symbol": name,
            "side": intent["side"],
            "orderType": "limit",
            "force": intent["force"],
            "price": decimal(*intent["price"]),
            "size": decimal(*intent["qty"]),
            "clientOid": intent["id"],
        }
        if not futures:
            return "POST", SPOT + "/trade/place-order", fields
        fields |= {"productType": FUTURES, "marginCoin": "USDT", "marginMode": "crossed"}
        position = intent["position"]
        if position == "net":
            if intent["reduce_only"]:
                fields["reduceOnly"] = "YES"
        else:
            # The side names the position; what happens to it stands beside.
            opening = {"long": "buy", "short": "sell"}[position]
            fields["tradeSide"] = "open" if intent["side"] == opening else "close"
            fields["side"] = opening
        return "POST", MIX + "/order/place-order", fields
    if kind == "cancel":
        path = MIX + "/order/cancel-order" if futures else SPOT + "/trade/cancel-order"
        return "POST", path, {"symbol": name, **margin, **which}
    if kind == "cancel_all":
        path = MIX + "/order/cancel-all-orders" if futures else SPOT + "/trade/cancel-symbol-order"
        return "POST", path, {"symbol": name, **margin}
    if kind == "query_order":
        if futures:
            return "GET", f"{MIX}/order/detail?" + query({"clientOid": intent["id"], "symbol": name, **product}), None
        return "GET", SPOT + "/trade/orderInfo?" + query({"clientOid": intent["id"]}), None
    lists = {
        "open_orders": ("/trade/unfilled-orders", "/order/orders-pending"),
        "order_history": ("/trade/history-orders", "/order/orders-history"),
        "fills": ("/trade/fills", "/order/fills"),
    }
    if kind in lists or kind == "bills":
        pairs = {"limit": "100"}
        if intent["venue_id"]:
            pairs["idLessThan"] = intent["venue_id"]
        elif kind != "open_orders":
            pairs["startTime"] = str(intent["since_ms"])
        if kind == "bills":
            return "GET", f"{MIX}/account/bill?" + query(pairs | {"productType": FUTURES}), None
        spot, mix = lists[kind]
        pairs |= {"symbol": name, **product}
        return "GET", (MIX + mix if futures else SPOT + spot) + "?" + query(pairs), None
    if kind == "positions":
        pairs = {"productType": FUTURES, "marginCoin": "USDT"}
        return "GET", f"{MIX}/position/all-position?" + query(pairs), None
    if kind == "futures_settings":
        return "GET", f"{MIX}/account/account?" + query({"symbol": name, **margin}), None
    if kind == "futures_balances":
        return "GET", f"{MIX}/account/accounts?" + query({"productType": FUTURES}), None
    if kind == "set_leverage":
        return "POST", MIX + "/account/set-leverage", {"symbol": name, **margin, "leverage": str(intent["leverage"])}
    if kind == "set_margin_mode":
        return "POST", MIX + "/account/set-margin-mode", {"symbol": name, **margin, "marginMode": "crossed"}
    if kind == "set_position_mode":
        fields = {"productType": FUTURES, "posMode": intent["mode"] + "_mode"}
        return "POST", MIX + "/account/set-position-mode", fields
    simple = {"balances": SPOT + "/account/assets", "key_info": SPOT + "/account/info"}
    if kind in simple:
        return "GET", simple[kind], None
    raise ValueError(f"no such intent: {kind}")


def unified(intent):
    """Method, target and body of an intent for a unified account."""
    kind = intent["kind"]
    name, futures = instrument(intent.get("symbol"))
    category = {"category": FUTURES if futures else "SPOT"}
    which = {"orderId": intent["venue_id"]} if intent.get("venue_id") else {"clientOid": intent.get("id")}
    if kind == "place":
        fields = {
            **category,
            "symbol": name,
            "side": intent["side"],
            "orderType": "limit",
            "timeInForce": intent["force"],
            "price": decimal(*intent["price"]),
            "qty": decimal(*intent["qty"]),
            "clientOid": intent["id"],
        }
        if intent["position"] != "net":
            fields["posSide"] = intent["position"]
        elif intent["reduce_only"]:
            fields["reduceOnly"] = "yes"
        return "POST", V3 + "/trade/place-order", fields
    if kind == "cancel":
        return "POST", V3 + "/trade/cancel-order", {**category, **which}
    if kind == "cancel_all":
        return "POST", V3 + "/trade/cancel-symbol-order", {**category, "symbol": name}
    if kind == "query_order":
        return "GET", f"{V3}/trade/order-info?" + query({"clientOid": intent["id"]}), None
    lists = {
        "open_orders": ("/trade/unfilled-orders", True, False),
        "order_history": ("/trade/history-orders", True, True),
        "fills": ("/trade/fills", False, True),
        "bills": ("/account/financial-records", False, True),
    }
    if kind in lists:
        path, by_symbol, by_time = lists[kind]
        pairs = {"limit": "100", "category": FUTURES if kind == "bills" else category["category"]}
        if by_symbol:
            pairs["symbol"] = name
        if by_time:
            pairs["startTime"] = str(intent["since_ms"])
        if intent["venue_id"]:
            pairs["cursor"] = intent["venue_id"]
        return "GET", f"{V3}{path}?" + query(pairs), None
    if kind == "positions":
        return "GET", f"{V3}/position/current-position?" + query({"category": FUTURES}), None
    if kind == "set_leverage":
        fields = {**category, "symbol": name, "leverage": str(intent["leverage"])}
        return "POST", V3 + "/account/set-leverage", fields
    if kind == "set_position_mode":
        return "POST", V3 + "/account/set-hold-mode", {"holdMode": intent["mode"] + "_mode"}
    simple = {
        "balances": V3 + "/account/assets",
        "key_info": V3 + "/account/info",
        "futures_settings": V3 + "/account/settings",
    }
    if kind in simple:
        return "GET", simple[kind], None
    raise ValueError(f"no such intent: {kind}")


def request(intent):
    """Method, target and body of an intent."""
    return unified(intent) if intent["mode_of_account"] == "unified" else classic(intent)


def mac(secret, text):
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def differs(case):
    """What is different, or None."""
    made = case["made"]
    if case["intent"]["kind"] == "stream_login":
        seconds = str(case["at_ms"] // 1000)
        args = {
            "apiKey": case["key"],
            "passphrase": case["passphrase"],
            "timestamp": seconds,
            "sign": mac(case["secret"], seconds + "GET/user/verify"),
        }
        return None if json.loads(made["body"]) == {"op": "login", "args": [args]} else "log-in frame"
    method, target, fields = request(case["intent"])
    if (made["method"], made["target"]) != (method, target):
        return f"{method} {target}"
    if (json.loads(made["body"]) if made["body"] else None) != fields:
        return f"body {fields}"
    time = str(case["at_ms"])
    headers = {
        "ACCESS-KEY": case["key"],
        "ACCESS-SIGN": mac(case["secret"], time + method + target + made["body"]),
        "ACCESS-TIMESTAMP": time,
        "ACCESS-PASSPHRASE": case["passphrase"],
        "locale": "en-US",
    }
    if method == "POST":
        headers["Content-Type"] = "application/json"
    return None if made["headers"] == headers else f"headers {headers}"


def main():
    agreed = 0
    for line in sys.stdin:
        case = json.loads(line)
        wrong = differs(case)
        if wrong:
            print(f"case {agreed}: expected {wrong}\n{line}", file=sys.stderr)
            return 1
        agreed += 1
    print(f"{agreed} requests agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
