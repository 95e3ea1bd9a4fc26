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


def decimal(mantissa, decimals):
    """The digits of a positive number with its decimals, as the intent gives them."""
    digits = str(mantissa).rjust(decimals + 1, "0")
    return digits if decimals == 0 else digits[:-decimals] + "." + digits[-decimals:]


def query(pairs):
    """Keys in ascending order."""
    return "&".join(f"{name}={value}" for name, value in sorted(pairs.items()))


def request(intent):
    """Method, target and body of an intent."""
    kind = intent["kind"]
    symbol = intent.get("symbol")
    if kind == "place":
        fields = {
            "symbol": symbol,
            "side": intent["side"],
            "orderType": "limit",
            "force": intent["force"],
            "price": decimal(*intent["price"]),
            "size": decimal(*intent["qty"]),
            "clientOid": intent["id"],
        }
        return "POST", SPOT + "/trade/place-order", fields
    if kind == "cancel":
        which = {"orderId": intent["venue_id"]} if intent["venue_id"] else {"clientOid": intent["id"]}
        return "POST", SPOT + "/trade/cancel-order", {"symbol": symbol, **which}
    if kind == "cancel_all":
        return "POST", SPOT + "/trade/cancel-symbol-order", {"symbol": symbol}
    if kind == "query_order":
        return "GET", SPOT + "/trade/orderInfo?" + query({"clientOid": intent["id"]}), None
    lists = {"open_orders": "unfilled-orders", "order_history": "history-orders", "fills": "fills"}
    if kind in lists:
        pairs = {"symbol": symbol, "limit": "100"}
        if intent["venue_id"]:
            pairs["idLessThan"] = intent["venue_id"]
        elif kind != "open_orders":
            pairs["startTime"] = str(intent["since_ms"])
        return "GET", f"{SPOT}/trade/{lists[kind]}?" + query(pairs), None
    if kind == "balances":
        return "GET", SPOT + "/account/assets", None
    if kind == "key_info":
        return "GET", SPOT + "/account/info", None
    raise ValueError(f"no such intent: {kind}")


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
