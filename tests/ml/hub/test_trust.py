"""What comes from a store is not believed: all is checked before anything is put in place."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ml.hub.catalogue import catalogue, verify_blobs
from ml.hub.folder import FolderStore
from ml.hub.revision import MOST_FILE_BYTES, Blob
from ml.hub.signing import public_of, seal
from ml.hub.store import blob_name, revision_name
from ml.sets.deployment import Deployment
from novosky.errors import ModelCompatibilityError, ModelError, StorageError
from tests.ml.hub.hub_fixtures import publisher, source, trader
from tests.ml.hub.hub_sets import FILES, Publisher, files_of, hurried, model_files, new_signer, write_set

__all__ = ["publisher", "source", "trader"]

TAG = "v20260104-p3"


def hub_file(publisher: Publisher, name: str) -> Path:
    return Path(publisher.store.place) / name


def blob_of(publisher: Publisher, file: str) -> Path:
    (found,) = (each for each in catalogue(hurried(publisher.store), publisher.keys))
    return hub_file(publisher, blob_name(found.revision.files[file].sha256))  # type: ignore[union-attr]


EVERY_FILE = ["ml_config.json", "strategy.json", "models/model_compat.json", *(f"models/{name}" for name in FILES)]


@pytest.fixture
def different(trader: Deployment) -> Deployment:
    """A trader none of whose files are those of the revision, so that every one is asked for."""
    content = json.loads(trader.ml_config.read_text())
    trader.ml_config.write_text(json.dumps(content))
    return trader


@pytest.mark.parametrize("file", EVERY_FILE)
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_one_flipped_bit_is_refused(
    publisher: Publisher, source: Deployment, different: Deployment, file: str, place: str
) -> None:
    publisher.push(source)
    before = files_of(different)
    blob = blob_of(publisher, file)
    data = bytearray(blob.read_bytes())
    data[{"first": 0, "middle": len(data) // 2, "last": -1}[place]] ^= 0x10
    blob.write_bytes(data)
    with pytest.raises(ModelError, match="damaged"):
        publisher.pull(different)
    assert files_of(different) == before


@pytest.mark.parametrize("file", EVERY_FILE)
@pytest.mark.parametrize("trouble", ["missing", "short", "long", "empty"])
def test_a_blob_that_is_not_whole_is_refused(
    publisher: Publisher, source: Deployment, different: Deployment, file: str, trouble: str
) -> None:
    publisher.push(source)
    before = files_of(different)
    blob = blob_of(publisher, file)
    data = blob.read_bytes()
    blob.unlink()
    if trouble != "missing":
        blob.write_bytes({"short": data[:-1], "long": data + b"x", "empty": b""}[trouble])
    with pytest.raises(ModelError, match=r"damaged|missing|larger"):
        publisher.pull(different)
    assert files_of(different) == before
    report = verify_blobs(hurried(publisher.store), installed_or_published(publisher))
    assert report == [f"{file} is {'missing' if trouble == 'missing' else 'damaged'}"]


def installed_or_published(publisher: Publisher) -> Any:
    (found,) = catalogue(hurried(publisher.store), publisher.keys)
    return found.revision  # type: ignore[union-attr]


def test_a_blob_that_was_put_right_is_pulled(publisher: Publisher, source: Deployment, different: Deployment) -> None:
    publisher.push(source)
    blob = blob_of(publisher, f"models/{FILES[0]}")
    data = blob.read_bytes()
    blob.write_bytes(b"x" * len(data))
    with pytest.raises(ModelError):
        publisher.pull(different)
    blob.write_bytes(data)
    publisher.pull(different)
    assert model_files(different) == model_files(source)


def test_a_revision_signed_by_another_key_is_refused(
    publisher: Publisher, source: Deployment, trader: Deployment
) -> None:
    publisher.push(source)
    before = files_of(trader)
    for tag in (None, TAG):
        with pytest.raises(ModelError, match="not signed by a key that is trusted here"):
            publisher.pull(trader, tag, keys=(public_of(new_signer(2)),))
    assert files_of(trader) == before
    publisher.pull(trader, keys=(public_of(new_signer(2)), *publisher.keys))


def envelope_path(publisher: Publisher, tag: str = TAG) -> Path:
    return hub_file(publisher, revision_name(tag))


def unsigned(envelope: dict[str, Any]) -> Any:
    del envelope["signature"]
    return envelope


def bare(envelope: dict[str, Any]) -> Any:
    return json.loads(envelope["manifest"])


def altered(envelope: dict[str, Any]) -> Any:
    return envelope | {"manifest": envelope["manifest"].replace('"approved":true', '"approved":false')}


def bent_signature(envelope: dict[str, Any]) -> Any:
    text = envelope["signature"]
    return envelope | {"signature": ("B" if text[0] == "A" else "A") + text[1:]}


def empty_signature(envelope: dict[str, Any]) -> Any:
    return envelope | {"signature": ""}


def other_format(envelope: dict[str, Any]) -> Any:
    return envelope | {"format": 2}


def no_object(envelope: dict[str, Any]) -> Any:
    return [envelope]


@pytest.mark.parametrize("change", [unsigned, bare, altered, bent_signature, empty_signature, other_format, no_object])
def test_a_manifest_that_is_not_signed_as_it_stands_is_refused(
    publisher: Publisher, source: Deployment, trader: Deployment, change: Callable[[dict[str, Any]], Any]
) -> None:
    publisher.push(source)
    before = files_of(trader)
    path = envelope_path(publisher)
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    for tag in (None, TAG):
        with pytest.raises(ModelError, match="signed"):
            publisher.pull(trader, tag)
    assert files_of(trader) == before


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b" " * (2 << 20)])
def test_a_manifest_that_is_none_is_refused(
    publisher: Publisher, source: Deployment, trader: Deployment, text: bytes
) -> None:
    publisher.push(source)
    envelope_path(publisher).write_bytes(text)
    with pytest.raises(ModelError, match=r"not a signed manifest|larger than"):
        publisher.pull(trader)


def test_an_old_manifest_under_a_new_name_is_refused(
    publisher: Publisher, source: Deployment, trader: Deployment
) -> None:
    publisher.push(source)
    shutil.copy(envelope_path(publisher), envelope_path(publisher, "v20270101-p3"))
    with pytest.raises(ModelError, match="is really v20260104-p3"):
        publisher.pull(trader)
    publisher.pull(trader, TAG)


def test_a_newest_revision_older_than_the_one_in_place_is_refused(
    publisher: Publisher, source: Deployment, trader: Deployment
) -> None:
    publisher.push(source)
    write_set(source, "newer")
    publisher.push(source, "v20260105-p3")
    publisher.pull(trader)
    before = files_of(trader)
    envelope_path(publisher, "v20260105-p3").unlink()
    with pytest.raises(ModelError, match="withdrawn or are held back"):
        publisher.pull(trader)
    assert files_of(trader) == before
    # Going back on purpose is something else.
    assert publisher.pull(trader, TAG).revision.tag == TAG


def test_a_newer_revision_is_told_by_its_number_not_by_its_tag(
    publisher: Publisher, source: Deployment, trader: Deployment
) -> None:
    publisher.push(source, "v20270101-p3")
    write_set(source, "later")
    publisher.push(source, "v20260104-p3")
    assert publisher.pull(trader).revision.tag == "v20260104-p3"


EARLIER, LATER = "2026-01-04T02:00:00+00:00", "2026-01-04T03:00:00+00:00"
# Number, moment and tag of what is in place, of what the hub then has as its newest, and whether that is older.
TIES = [
    ((7, LATER, "v20260104-p3"), (7, EARLIER, "v20260105-p3"), True),
    ((7, LATER, "v20260104-p3"), (6, "2026-02-01T00:00:00+00:00", "v20260201-p3"), True),
    ((7, LATER, "v20260104-p3"), (8, EARLIER, "v20260103-p3"), False),
    ((7, EARLIER, "v20260104-p3"), (7, LATER, "v20260103-p3"), False),
    # One moment in two zones: as text the second one is later.
    ((7, EARLIER, "v20260104-p3.2"), (7, "2026-01-04T04:00:00+02:00", "v20260104-p3"), True),
    ((7, EARLIER, "v20260104-p3"), (7, "2026-01-04T02:30:00+02:00", "v20260105-p3"), True),
    ((7, EARLIER, "v20260104-p3.2"), (7, EARLIER, "v20260104-p3.10"), False),
    ((7, EARLIER, "v20260104-p3.10"), (7, EARLIER, "v20260104-p3.2"), True),
    ((7, EARLIER, "v20260104-p3.2"), (7, EARLIER, "v20260105-p3"), False),
    ((7, EARLIER, "v20260105-p3"), (7, EARLIER, "v20260104-p3.2"), True),
]


@pytest.mark.parametrize(("present", "newest", "older"), TIES)
def test_which_of_two_revisions_is_newer(
    publisher: Publisher,
    source: Deployment,
    trader: Deployment,
    present: tuple[int, str, str],
    newest: tuple[int, str, str],
    older: bool,
) -> None:
    published = publisher.push(source).revision
    first, second = (replace(published, sequence=a, created=b, tag=c) for a, b, c in (present, newest))
    envelope_path(publisher).unlink()
    envelope_path(publisher, first.tag).write_bytes(seal(first.text(), publisher.signer))
    publisher.pull(trader)
    envelope_path(publisher, first.tag).unlink()
    envelope_path(publisher, second.tag).write_bytes(seal(second.text(), publisher.signer))
    if older:
        with pytest.raises(ModelError, match="is older than"):
            publisher.pull(trader)
        # Beside each other the same one is the newer one.
        envelope_path(publisher, first.tag).write_bytes(seal(first.text(), publisher.signer))
        assert publisher.pull(trader).already
    else:
        assert publisher.pull(trader).revision == second


def test_a_revision_that_was_exchanged_under_its_tag_is_refused(
    publisher: Publisher, source: Deployment, trader: Deployment
) -> None:
    published = publisher.push(source).revision
    publisher.pull(trader)
    write_set(source, "other")
    envelope_path(publisher).unlink()
    publisher.push(source)
    other = replace(installed_or_published(publisher), sequence=published.sequence, created=published.created)
    envelope_path(publisher).write_bytes(seal(other.text(), publisher.signer))
    with pytest.raises(ModelError, match="one of the two was exchanged"):
        publisher.pull(trader)


def test_the_record_of_the_set_in_place_must_be_readable(
    publisher: Publisher, source: Deployment, trader: Deployment
) -> None:
    publisher.push(source)
    publisher.pull(trader)
    (trader.models / "hub_revision.json").write_text("{}")
    with pytest.raises(ModelError, match="pull a revision by name"):
        publisher.pull(trader)


DIGEST = "0" * 64


def evil(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content.update(changes)


def evil_file(name: str, entry: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["files"].__setitem__(name, entry)


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["files"].pop(name)


EVIL_NAMES = [
    "../config.json",
    "models/../../x",
    "models/sub/x.pkl",
    "/etc/passwd",
    "models/..",
    "models/",
    "models\\x.pkl",
    "C:\\x",
    "models/evil.pkl",
    "models/hub_revision.json",
    "config.json",
    ".env",
    "models/ENSEMBLE_RF.PKL",
    "models/ensemble_rf.pkl\x00",
]
EVIL = {
    **{f"file {name!r}": evil_file(name, {"sha256": DIGEST, "size": 1}) for name in EVIL_NAMES},
    "huge file": evil_file("ml_config.json", {"sha256": DIGEST, "size": MOST_FILE_BYTES + 1}),
    "negative size": evil_file("ml_config.json", {"sha256": DIGEST, "size": -1}),
    "size of another kind": evil_file("ml_config.json", {"sha256": DIGEST, "size": True}),
    "hash that is a path": evil_file("ml_config.json", {"sha256": "../" * 21 + "x", "size": 1}),
    "more about a file": evil_file("ml_config.json", {"sha256": DIGEST, "size": 1, "mode": 511}),
    "no strategy": without("strategy.json"),
    "no settings": without("ml_config.json"),
    "no model manifest": without("models/model_compat.json"),
    "files of another kind": evil(files=[]),
    "another format": evil(format=2),
    "an unknown entry": evil(extra=1),
    "an unknown profile": evil(profile="reckless"),
    "the profile of another tag": evil(profile="growth"),
    "number zero": evil(sequence=0),
    "a number that is text": evil(sequence="9"),
    "approval that is text": evil(approved="yes"),
    "a moment without zone": evil(created="2026-01-04T02:00:00"),
    "no moment": evil(created="yesterday"),
    "no feature hash": evil(feature_hash=""),
}


@pytest.mark.parametrize("what", EVIL)
def test_even_a_signed_manifest_may_not_say_everything(
    publisher: Publisher, source: Deployment, trader: Deployment, what: str
) -> None:
    revision = publisher.push(source).revision
    content = json.loads(revision.text())
    EVIL[what](content)
    envelope_path(publisher).write_bytes(seal(json.dumps(content), publisher.signer))
    before = files_of(trader), sorted(trader.models.parent.parent.rglob("*"))
    for tag in (None, TAG):
        with pytest.raises(ModelError, match="no manifest of a revision"):
            publisher.pull(trader, tag)
    assert (files_of(trader), sorted(trader.models.parent.parent.rglob("*"))) == before


def resigned(publisher: Publisher, **changes: Any) -> None:
    """Sign the published revision anew with other content: a publisher's mistake, not an attack."""
    revision = replace(installed_or_published(publisher), **changes)
    envelope_path(publisher).write_bytes(seal(revision.text(), publisher.signer))


def test_a_revision_whose_files_are_not_those_of_its_set_is_refused(
    publisher: Publisher, source: Deployment, trader: Deployment
) -> None:
    publisher.push(source)
    files = dict(installed_or_published(publisher).files)
    del files[f"models/{FILES[0]}"]
    resigned(publisher, files=files)
    before = files_of(trader)
    with pytest.raises(ModelError, match="contradicts itself"):
        publisher.pull(trader)
    assert files_of(trader) == before


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (b"{", "cannot be read"),
        (b"[]", "cannot be read"),
        (b"{}", "other keys than this version knows"),
    ],
)
def test_a_strategy_of_another_version_is_refused(
    publisher: Publisher, source: Deployment, trader: Deployment, strategy: bytes, message: str
) -> None:
    import hashlib

    publisher.push(source)
    digest = hashlib.sha256(strategy).hexdigest()
    publisher.store.create(blob_name(digest), io.BytesIO(strategy), len(strategy))
    files = dict(installed_or_published(publisher).files) | {"strategy.json": Blob(digest, len(strategy))}
    resigned(publisher, files=files)
    before = files_of(trader)
    with pytest.raises(ModelError, match=message):
        publisher.pull(trader)
    assert files_of(trader) == before


def test_a_set_a_bot_could_not_start_from_is_not_put_in_place(
    publisher: Publisher, source: Deployment, trader: Deployment
) -> None:
    publisher.push(source)
    before = files_of(trader)

    def check(deployment: Deployment) -> None:
        assert model_files(deployment) == model_files(source), "it is asked about the new deployment"
        raise ModelCompatibilityError("a bot does not start from this")

    with pytest.raises(ModelCompatibilityError, match="does not start"):
        publisher.pull(trader, check=check)
    assert files_of(trader) == before


def test_objects_that_are_no_revisions_are_passed_over(
    publisher: Publisher, source: Deployment, trader: Deployment
) -> None:
    publisher.push(source)
    (envelope_path(publisher).parent / "README.txt").write_text("hello")
    assert publisher.pull(trader).revision.tag == TAG


def test_a_hub_that_is_not_there_is_named(tmp_path: Path, trader: Deployment) -> None:
    nowhere = Publisher(FolderStore(tmp_path / "nowhere"), new_signer())
    with pytest.raises(StorageError, match="there is no hub at"):
        nowhere.pull(trader)
