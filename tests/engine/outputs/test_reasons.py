"""Every short name that a person may meet has its words."""

from __future__ import annotations

from engine.fills import EXIT_NAMES
from engine.gates import GATE_NAMES
from engine.outputs.reasons import EXIT_WORDS, GATE_WORDS


def test_every_gate_and_exit_has_words_of_its_own() -> None:
    assert tuple(GATE_WORDS) == GATE_NAMES
    assert set(EXIT_WORDS) == {name for name in EXIT_NAMES if name}
    for words in (GATE_WORDS, EXIT_WORDS):
        assert len(set(words.values())) == len(words)
        assert not any("_" in text for text in words.values())
