"""The contract of a hub's store: what pushing and pulling rely on, wherever the objects lie."""

from __future__ import annotations

import io
import threading

import pytest

from ml.hub.store import AbsentError, Store, blob_name, revision_name


def put(store: Store, name: str, content: bytes) -> bool:
    return store.create(name, io.BytesIO(content), len(content))


def content(store: Store, name: str, start: int = 0) -> bytes:
    with store.read(name, start) as pieces:
        return b"".join(pieces)


class StoreContract:
    """Every store inherits these tests and gives the fixture `store`: an empty one."""

    def test_what_was_stored_is_read(self, store: Store) -> None:
        assert put(store, revision_name("v20260104-p3"), b"text")
        assert content(store, revision_name("v20260104-p3")) == b"text"

    def test_an_object_is_never_changed(self, store: Store) -> None:
        assert put(store, "revisions/a.json", b"first")
        assert not put(store, "revisions/a.json", b"second")
        assert content(store, "revisions/a.json") == b"first"

    def test_reading_goes_on_from_any_byte(self, store: Store) -> None:
        large = bytes(range(256)) * 4096
        put(store, blob_name("ab" * 32), large)
        for start in (0, 1, 300_000, len(large) - 1):
            assert content(store, blob_name("ab" * 32), start) == large[start:]

    def test_nothing_under_a_name_is_said(self, store: Store) -> None:
        put(store, "revisions/there.json", b"")
        assert store.size("revisions/missing.json") is None
        with pytest.raises(AbsentError), store.read("revisions/missing.json"):
            pass

    def test_sizes(self, store: Store) -> None:
        for size in (0, 1, 70_000):
            put(store, f"blobs/{size}", b"x" * size)
            assert store.size(f"blobs/{size}") == size

    def test_names_below_a_prefix_in_order(self, store: Store) -> None:
        for name in ("revisions/b.json", "blobs/aa/1", "revisions/a.json"):
            put(store, name, b"x")
        assert store.names("revisions/") == ["revisions/a.json", "revisions/b.json"]
        assert store.names("blobs/") == ["blobs/aa/1"]
        assert store.names("nothing/") == []

    def test_many_names_are_all_listed(self, store: Store) -> None:
        names = [f"revisions/{number:04d}" for number in range(25)]
        for name in names:
            put(store, name, b"")
        assert store.names("revisions/") == names

    def test_of_several_publishers_one_wins(self, store: Store) -> None:
        won: list[bytes] = []

        def publish(text: bytes) -> None:
            if put(store, "revisions/contested.json", text):
                won.append(text)

        threads = [threading.Thread(target=publish, args=(b"publisher %d" % number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert content(store, "revisions/contested.json") == won[0]

    def test_its_place_is_named_for_people(self, store: Store) -> None:
        assert store.place
