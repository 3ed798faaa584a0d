"""A hint to the processor: these array elements will be read soon.

The engine jumps from one candidate to the next over bars it never reads, in strides no
hardware guesses. Asking for the next candidate's bar while the present one is still being
worked on hides most of the wait for memory; results cannot change.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

_READ = 0
_KEEP = 3
_DATA = 1


def prefetch(columns: tuple[Any, ...], row: int) -> None:
    """Ask for element `row` of each array; the plain function does nothing.

    Parameters
    ----------
    columns : tuple of ndarray, each of shape (n,)
    row : int
        Within 0 to n - 1.
    """


@intrinsic
def _prefetch_elements(typing_context: Any, columns: Any, row: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte_pointer, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        hint = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, ir.FunctionType(ir.VoidType(), [byte_pointer, flag, flag, flag]), "llvm.prefetch.p0"
        )
        for position, array_type in enumerate(signature.args[0]):
            array = context.make_array(array_type)(context, builder, builder.extract_value(arguments[0], position))
            address = builder.bitcast(builder.gep(array.data, [arguments[1]]), byte_pointer)
            builder.call(hint, [address, flag(_READ), flag(_KEEP), flag(_DATA)])
        return context.get_dummy_value()

    return types.void(columns, row), generate


@overload(prefetch)
def _compiled_prefetch(columns: Any, row: Any) -> Any:
    def compiled(columns: Any, row: Any) -> None:
        # Numba passes the typing context, which the caller does not see.
        _prefetch_elements(columns, row)  # type: ignore[call-arg]

    return compiled
