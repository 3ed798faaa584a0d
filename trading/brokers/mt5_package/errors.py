"""What `last_error()` says: a code and a text, the last word about the last call."""

from __future__ import annotations

from dataclasses import dataclass

from trading.brokers.mt5_package.constants import ModuleConstants as C


@dataclass(frozen=True)
class Failure:
    """A call that failed: the call answers None (or False), `last_error` this."""

    code: int
    text: str


SUCCESS = (C.RES_S_OK, "Success")
CALL_FAILED = Failure(C.RES_E_FAIL, "Terminal: Call failed")
INVALID_PARAMS = Failure(C.RES_E_INVALID_PARAMS, "Terminal: Invalid params")
NOT_FOUND = Failure(C.RES_E_NOT_FOUND, "Terminal: Not found")
AUTH_FAILED = Failure(C.RES_E_AUTH_FAILED, "Terminal: Authorization failed")
API_DISABLED = Failure(C.RES_E_AUTO_TRADING_DISABLED, "Auto-Trading using Python API disabled in Terminal")
INTERNAL = Failure(C.RES_E_INTERNAL_FAIL, "IPC call failed")
SEND_FAILED = Failure(C.RES_E_INTERNAL_FAIL_SEND, "IPC send failed")
RECEIVE_FAILED = Failure(C.RES_E_INTERNAL_FAIL_RECEIVE, "IPC recv failed")
NO_CONNECTION = Failure(C.RES_E_INTERNAL_FAIL_CONNECT, "No IPC connection")
TIMEOUT = Failure(C.RES_E_INTERNAL_FAIL_TIMEOUT, "IPC timeout")
UNNAMED_ARGUMENTS = Failure(C.RES_E_INVALID_PARAMS, "Unnamed arguments not allowed")
ARGUMENT_COUNT = Failure(C.RES_E_INVALID_PARAMS, "Invalid number of arguments")
INVALID_ARGUMENTS = Failure(C.RES_E_INVALID_PARAMS, "Invalid arguments")

_ORDINALS = ("1st", "2nd", "3rd", "4th", "5th")


def invalid(name: str) -> Failure:
    """Return the failure of a named argument or request field."""
    return Failure(C.RES_E_INVALID_PARAMS, f'Invalid "{name}" argument')


def invalid_unnamed(place: int) -> Failure:
    """Return the failure of the positional argument at `place`, counted from 0."""
    return Failure(C.RES_E_INVALID_PARAMS, f"Invalid {_ORDINALS[place]} unnamed argument")


def no_terminal(detail: str) -> Failure:
    """Return the failure of `initialize` when no terminal answers."""
    return Failure(C.RES_E_INTERNAL_FAIL_INIT, f"IPC initialize failed, {detail}")
