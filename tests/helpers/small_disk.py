"""A disk that fills up: no file of this process, or of one it starts, can grow beyond a size."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"


@contextmanager
def disk_with_room_for(size: int) -> Iterator[None]:
    """Limit files to `size` bytes; POSIX only.

    Compiled modules are not kept meanwhile. Python does not look whether all of one was written, so a
    module that is first imported here would stay cut short for everybody who imports it later.
    """
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept, told = sys.dont_write_bytecode, os.environ.get(_NO_BYTECODE)
    sys.dont_write_bytecode, os.environ[_NO_BYTECODE] = True, "1"
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        sys.dont_write_bytecode = kept
        if told is None:
            del os.environ[_NO_BYTECODE]
        else:
            os.environ[_NO_BYTECODE] = told
