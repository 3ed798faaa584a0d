"""A process that has everything loaded and forks a program for everyone who asks: scripts and `python -c`.

    python tests/helpers/warm_programs.py FOLDER

It listens on a socket in the folder and puts a program `python` beside it, which hands its
arguments, environment and streams over, and ends like the program it stands for. What starts
other programs by `sys.executable` then starts them in milliseconds instead of seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import signal
import socket
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
SOCKET, PYTHON = "socket", "python"
STREAMS = 3
SHIM = """#!{python} -SE
import json, os, socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect({address!r})
asked = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode() + b"\\n"
socket.send_fds(line, [b"?"], [0, 1, 2])
line.sendall(asked)
answers = line.makefile()
answers.readline()
status = int(answers.readline())
os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
"""


def load_everything() -> None:
    """Import and compile what the programs need; nothing here starts a thread that a fork would lose."""
    import lightgbm  # noqa: F401
    import sklearn.ensemble  # noqa: F401
    import xgboost  # noqa: F401

    import ml.ensemble.predictor
    import ml.hub.publish
    import ml.train  # noqa: F401
    import optimize.driver
    import optimize.pipeline  # noqa: F401
    import tests.helpers.paper_runs as paper_runs
    from ml.feature_engineering import add_all_features
    from novosky.data.synthetic import synthetic_bars

    add_all_features(synthetic_bars("planted", 1_500, seed=3))
    with tempfile.TemporaryDirectory() as folder:
        paper_runs.replay_outcome(paper_runs.Scenario(paper_runs.planted_bars(40)), Path(folder))


def run_program(arguments: list[str]) -> int:
    """Run `-c CODE …` or a script as the interpreter would and return its exit code."""
    try:
        if arguments[0] == "-c":
            sys.argv = ["-c", *arguments[2:]]
            exec(arguments[1], {"__name__": "__main__"})
        else:
            sys.argv = arguments
            runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def become(line: socket.socket) -> None:
    """Turn this fork into the program that was asked for; never returns."""
    _, streams, _, _ = socket.recv_fds(line, 1, STREAMS)
    with line.makefile() as text:
        arguments, folder, environment = json.loads(text.readline())
    program = os.fork()
    if program:
        with contextlib.suppress(OSError):
            line.sendall(f"{program}\n".encode())
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(program, 0)
        # Who asked may have been killed.
        with contextlib.suppress(OSError):
            line.sendall(f"{status}\n".encode())
        os._exit(0)
    line.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # The old ones remember of what kind the server's own streams were, such as a file that can be rewound.
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, buffering, errors=errors, closefd=False)  # noqa: SIM115
        for number, (mode, buffering, errors) in enumerate(
            (("r", -1, None), ("w", -1, None), ("w", 1, "backslashreplace"))
        )
    )
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    code = 1
    try:
        code = run_program(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def serve(folder: Path) -> None:
    """Fork a program for every connection."""
    address = str(folder / SOCKET)
    shim = folder / PYTHON
    shim.write_text(SHIM.format(python=sys.executable, address=address))
    shim.chmod(0o755)
    sys.executable = str(shim)
    load_everything()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    # Handlers are not waited for; programs wait for their own children as usual.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    while True:
        line, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            become(line)
        line.close()


class Started:
    """A program that was asked for.

    Attributes
    ----------
    process : int
        Its process id.
    """

    def __init__(self, folder: Path, arguments: list[str], cwd: Path, environment: dict[str, str], out: Any) -> None:
        self._line = socket.socket(socket.AF_UNIX)
        self._line.connect(str(folder / SOCKET))
        socket.send_fds(self._line, [b"?"], [out.fileno()] * STREAMS)
        self._line.sendall(json.dumps([arguments, str(cwd), environment]).encode() + b"\n")
        self._answers = self._line.makefile()
        self.process = int(self._answers.readline())

    def exit_code(self) -> int:
        """Wait for its end and return its exit code, negative for a signal."""
        code = os.waitstatus_to_exitcode(int(self._answers.readline()))
        self._line.close()
        return code


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
