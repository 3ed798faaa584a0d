"""The sixty contract cases of a MetaTrader 5 module and its adapter, and which implementations each is run for.

A test says which cases it is by the numbers its name begins with (`test_46_47_...`). The letters:

| letter | implementation | where its tests are |
|---|---|---|
| S | the simulated terminal, called directly | `contracts/mt5_*.py` in `test_terminal_contract`, `test_terminal_*.py` |
| B | the same module through the bridge | the same contracts in `test_bridge_contract`, `test_bridge_*.py` |
| A | the adapter on the simulated terminal | `test_mt5_*.py` |
| R | the adapter through the bridge | the same tests in `test_mt5_through_bridge.py` |
| L | a demo account at a broker | not here: it needs Windows, a terminal and an account |
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """One case: what it is about, and the letters of what it is run for."""

    subject: str
    runs: str


MODULE, BOTH, EVERYWHERE = "SB", "SBL", "SBAR"
CASES = {
    1: Case("before initialize every function fails by its value", MODULE),
    2: Case("initialize, and once more", BOTH),
    3: Case("wrong path, wrong credentials, a terminal that hangs", MODULE),
    4: Case("shutdown and a new connection", BOTH),
    5: Case("last_error", BOTH),
    6: Case("call forms: TypeError", MODULE),
    7: Case("call forms: filters are named", BOTH),
    8: Case("call forms: requests", BOTH),
    9: Case("types of a request's fields", MODULE),
    10: Case("comments", EVERYWHERE + "L"),
    11: Case("structs: fields", BOTH),
    12: Case("structs: immutable tuples", MODULE),
    13: Case("arrays: dtypes", BOTH),
    14: Case("constants", MODULE),
    15: Case("structs: types of the fields", MODULE),
    16: Case("bars: ascending, the last one forming", BOTH),
    17: Case("bars: both ends of a range", BOTH),
    18: Case("dates: seconds, UTC, naive", EVERYWHERE),
    19: Case("the server's clock", EVERYWHERE),
    20: Case("symbols: selection", EVERYWHERE),
    21: Case("histories that have to be loaded first", EVERYWHERE),
    22: Case("more bars than the chart holds", EVERYWHERE),
    23: Case("frozen quotes", EVERYWHERE),
    24: Case("symbols: groups and unknown ones", EVERYWHERE),
    25: Case("margins", MODULE),
    26: Case("profits", MODULE),
    27: Case("the account's sums", MODULE),
    28: Case("order_check", MODULE),
    29: Case("cent accounts", EVERYWHERE),
    30: Case("a market order", BOTH),
    31: Case("stop and target", EVERYWHERE + "L"),
    32: Case("a full close", BOTH),
    33: Case("a partial close", BOTH),
    34: Case("a close without its position", EVERYWHERE),
    35: Case("close by", MODULE),
    36: Case("pending orders", MODULE),
    37: Case("triggers of stop and target", MODULE),
    38: Case("stop-out", MODULE),
    39: Case("swap", MODULE),
    40: Case("commission", MODULE),
    41: Case("netting", MODULE),
    42: Case("rejections", EVERYWHERE),
    43: Case("filling modes", EVERYWHERE),
    44: Case("requotes and slippage", MODULE),
    45: Case("partial fills", EVERYWHERE),
    46: Case("a timeout that hides a fill", EVERYWHERE),
    47: Case("lost requests and lost answers", EVERYWHERE),
    48: Case("what cannot be read is not empty", EVERYWHERE),
    49: Case("positions that show late", EVERYWHERE),
    50: Case("comments cut or written over", EVERYWHERE),
    51: Case("a terminal started anew", EVERYWHERE),
    52: Case("too many requests", EVERYWHERE),
    53: Case("switches turned off", EVERYWHERE),
    54: Case("another account", EVERYWHERE),
    55: Case("the weekend", EVERYWHERE),
    56: Case("twenty threads", EVERYWHERE),
    57: Case("a call that hangs", EVERYWHERE),
    58: Case("the same orders, the same history", MODULE),
    59: Case("parity through the bridge", "BR"),
    60: Case("smoke test on a demo account", "L"),
}
NOT_HERE = {
    60: "a demo account at a broker and its terminal on Windows are needed; the cases marked L are to be run there too",
}
"""Cases of which nothing can be run on this side, and why."""
