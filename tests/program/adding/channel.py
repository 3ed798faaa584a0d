"""An alert channel: every message as a line of a file."""

from __future__ import annotations

from pathlib import Path

ROW = "an alert channel"
EDITS = {
    "alerts/channels/lines.py": [
        (
            "",
            '''"""A file: every message as a line; it takes no commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from novosky.environment import Variable

if TYPE_CHECKING:
    from alerts.message import QueuedMessage
    from alerts.port import Desk
    from alerts.service import ChannelService

TITLE = "Lines"
PURPOSE = "The bot writes trades and halts into a file."
FILE_VARIABLE = "NOVOSKY_LINES_FILE"
VARIABLES = (Variable(FILE_VARIABLE, "file that messages are written into", secret=False),)
NEEDED = (FILE_VARIABLE,)


def configured(environment: Mapping[str, str]) -> LinesAccess | None:
    """Read the file's name; None when it is not set."""
    name = environment.get(FILE_VARIABLE, "").strip()
    return LinesAccess(Path(name)) if name else None


@dataclass(frozen=True)
class LinesAccess:
    """Where messages are written."""

    name: ClassVar[str] = "lines"
    title: ClassVar[str] = TITLE
    file: Path

    @property
    def reach(self) -> str:
        """The file's name."""
        return self.file.name

    def connect(self) -> LinesChannel:
        """Open the channel."""
        return LinesChannel(self.file)

    def serve(self, desk: Desk) -> ChannelService:
        """Return the service that empties the queue."""
        from alerts.service import ChannelService

        return ChannelService(self.connect(), desk.queue, desk.clock, desk.rng)

    def probe(self) -> str:
        """Tell whether the file is there."""
        return "the file is there" if self.file.exists() else "the file will be made"


class LinesChannel:
    """One file."""

    title = TITLE

    def __init__(self, file: Path) -> None:
        self._file = file

    def labels(self) -> Sequence[str]:
        """Return the one place."""
        return ("file",)

    def knows(self, label: str) -> bool:
        """Tell whether a name is that of the one place."""
        return label == "file"

    def place(self, label: str) -> str:
        """Return which place this is."""
        return f"the file of {FILE_VARIABLE}"

    def ready_at(self, label: str) -> float:
        """Return that it is ready at any time."""
        return 0.0

    def deliver(self, message: QueuedMessage, label: str, now: float) -> None:
        """Write a message."""
        with self._file.open("a", encoding="utf-8") as file:
            print(message.text, file=file)

    def interrupt(self) -> None:
        """Do nothing: a line takes no time."""

    def close(self) -> None:
        """Do nothing: the file is closed after every line."""
''',
        )
    ],
}


def check(folder: Path) -> None:
    """Environment, doctor, onboarding, the message of a command and the bot's own queue know the channel."""
    from random import Random

    from click.testing import CliRunner

    from alerts.delivery import Delivery
    from alerts.direct import tell_now
    from alerts.family import channel_names, channel_variables, configured_channels, how_to_configure
    from alerts.message import Message
    from commands.main import cli
    from novosky.database.place import sqlite_url
    from trading.doctor.secrets import check_channels
    from trading.journal import Journal

    file = folder / "lines.txt"
    stated = {"NOVOSKY_LINES_FILE": str(file)}
    assert channel_names() == ("lines", "telegram", "webhook")
    assert "NOVOSKY_LINES_FILE" in {variable.name for variable in channel_variables()}
    assert "NOVOSKY_LINES_FILE" in how_to_configure()
    (access,) = configured_channels(stated)
    assert access.name == "lines"
    findings = check_channels(stated, online=True)
    assert [each.text for each in findings] == ["set up; messages go to lines.txt", "the file will be made"]
    assert "--lines" in CliRunner().invoke(cli, ["onboarding", "--help"]).output
    told = tell_now([access], Message("k", "trade", "told at once", 1), 1.0, sleep=lambda _: None)
    assert [(each.title, each.problems) for each in told] == [("Lines", ())]
    journal = Journal(sqlite_url(folder / "lines.sqlite"), durable=True, channels=(access.name,))
    journal.outbox.enqueue(Message("l", "trade", "told by the bot", 1))
    delivery = Delivery(journal.outbox.queue(access.name), access.connect(), Random(1))
    for now in (2.0, 3.0, 4.0):
        delivery.step(now)
    journal.close()
    assert file.read_text().splitlines() == ["told at once", "told by the bot"]
