"""The hub in an S3 bucket: the contract against a real server, and a network that breaks at every request."""

from __future__ import annotations

import io
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.hub.patience import Patience, PatientStore
from ml.hub.s3 import S3Store
from ml.hub.store import TroubleError, blob_name
from ml.sets.deployment import Deployment
from novosky.errors import ModelError, NetworkError
from tests.hosts.cutting_proxy import CuttingProxy
from tests.hosts.hub_s3 import KEY, KEY_ID, S3Server
from tests.ml.hub.hub_contract import StoreContract, put
from tests.ml.hub.hub_sets import Publisher, files_of, lay_out_checkout, model_files, new_signer

REQUEST = b" HTTP/1.1\r\n"
"""Stands once in every request and in no answer."""
MOMENTS = (("before", 0), ("after", 0), ("after", 100), ("after", 700))
"""Before a request arrives; when it has been done, and nothing, half of the head or some of the body comes back."""


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    found = S3Server()
    yield found
    found.close()


class TestS3Store(StoreContract):
    @pytest.fixture
    def store(self, server: S3Server) -> S3Store:
        return server.store(server.new_bucket())


@pytest.fixture
def source(tmp_path: Path) -> Deployment:
    return lay_out_checkout(tmp_path / "developer", "new", news_block_minutes=45)


@pytest.fixture
def trader(tmp_path: Path) -> Deployment:
    return lay_out_checkout(tmp_path / "trader", "old", max_daily_loss=3.0)


def requests_of(proxy: CuttingProxy, act: object) -> int:
    """Return how many requests pass while something is done."""
    assert callable(act)
    # Cutting so late that it never happens still counts what passes.
    proxy.cut(REQUEST, "before", times=1, skip=1_000_000)
    act()
    return 1_000_000 - proxy.left_to_skip


def test_a_pull_survives_a_cut_at_every_request(server: S3Server, source: Deployment, trader: Deployment) -> None:
    bucket = server.new_bucket()
    Publisher(server.store(bucket), new_signer()).push(source)
    with CuttingProxy(server.port) as proxy:
        template = trader.models.parent
        before = files_of(trader)

        publisher = Publisher(server.store(bucket, proxy.port), new_signer())

        def fresh(name: str) -> Deployment:
            folder = template.with_name(name)
            shutil.copytree(template, folder)
            return lay_at(folder)

        target = fresh("counted")
        count = requests_of(proxy, lambda: publisher.pull(target))
        assert count >= 3 + 4, "a list, a manifest, a strategy, and the files"
        for (moment, room), number in itertools.product(MOMENTS, range(count)):
            target = fresh(f"{moment}-{room}-{number}")
            cuts = proxy.cuts
            proxy.cut(REQUEST, moment, skip=number, room=room)
            if number % 2:
                # Patient: nobody notices.
                publisher.pull(target)
            else:
                # Not patient: refused, nothing touched, and the same command again does it.
                with pytest.raises(NetworkError, match="did not answer properly"):
                    publisher.pull(target, attempts=1)
                assert files_of(target) == before
                publisher.pull(target)
            assert proxy.cuts == cuts + 1, f"the cut {moment} request {number} took place"
            assert model_files(target) == model_files(source)


def lay_at(folder: Path) -> Deployment:
    return Deployment(folder / "models", folder / "config.json", folder / "ml_config.json")


def test_a_push_survives_a_cut_at_every_request(server: S3Server, source: Deployment) -> None:
    with CuttingProxy(server.port) as proxy:
        bucket = server.new_bucket()
        publisher = Publisher(server.store(bucket, proxy.port), new_signer())
        count = requests_of(proxy, lambda: publisher.push(source))
        assert count >= 1 + 2 * 5 + 1, "a list, every file looked for and sent, and the manifest"
        for (moment, room), number in itertools.product(MOMENTS[:3], range(count)):
            server.empty(bucket)
            cuts = proxy.cuts
            proxy.cut(REQUEST, moment, skip=number, room=room)
            if number % 2 or room:
                publisher.push(source)
            else:
                with pytest.raises(NetworkError, match="did not answer properly"):
                    publisher.push(source, attempts=1)
                publisher.push(source)
            assert proxy.cuts == cuts + 1, f"the cut {moment} request {number} took place"
            assert_whole(publisher)


def assert_whole(publisher: Publisher) -> None:
    from ml.hub.catalogue import Published, catalogue, verify_blobs
    from tests.ml.hub.hub_sets import hurried

    (found,) = catalogue(hurried(publisher.store), publisher.keys)
    assert isinstance(found, Published)
    assert found.revision.sequence == 1
    assert verify_blobs(hurried(publisher.store), found.revision) == []


def test_a_download_goes_on_where_it_broke_off(server: S3Server, tmp_path: Path) -> None:
    import hashlib

    data = bytes(range(256)) * 20_000
    digest = hashlib.sha256(data).hexdigest()
    bucket = server.new_bucket()
    put(server.store(bucket), blob_name(digest), data)
    reads: list[int] = []

    class Watched(S3Store):
        def read(self, name: str, start: int = 0):  # type: ignore[no-untyped-def]
            reads.append(start)
            return super().read(name, start)

    with CuttingProxy(server.port) as proxy:
        store = PatientStore(Watched(server.place(bucket, proxy.port)), Patience(2, sleep=lambda seconds: None))
        proxy.cut(REQUEST, "after", times=3, room=900_000)
        path, told = tmp_path / "part", list[int]()
        with pytest.raises(NetworkError):
            PatientStore(Watched(server.place(bucket, proxy.port)), Patience(1)).download(
                digest, len(data), path, told.append
            )
        kept = path.stat().st_size
        assert 0 < kept < len(data)
        store.download(digest, len(data), path, told.append)
    assert path.read_bytes() == data
    assert reads[0] == 0
    assert reads[1] == kept, "what has arrived is not asked for again"
    assert reads == sorted(reads)
    assert told == sorted(told)


def test_a_bent_beginning_from_an_earlier_run_is_asked_for_anew(server: S3Server, tmp_path: Path) -> None:
    import hashlib

    data = b"good" * 10_000
    digest = hashlib.sha256(data).hexdigest()
    bucket = server.new_bucket()
    put(server.store(bucket), blob_name(digest), data)
    path = tmp_path / "part"
    path.write_bytes(b"evil" * 5_000)
    PatientStore(server.store(bucket)).download(digest, len(data), path, lambda there: None)
    assert path.read_bytes() == data


def test_waits_double_up_to_the_longest() -> None:
    patience = Patience(first_wait=1.0, longest_wait=8.0)
    for failures, longest in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (9, 8.0)):
        assert longest / 2 <= patience.wait(failures) <= longest


def test_a_server_that_is_away_is_asked_so_many_times(server: S3Server, trader: Deployment) -> None:
    waits: list[float] = []
    with CuttingProxy(server.port) as proxy:
        port = proxy.port
    store = PatientStore(server.store("models", port), Patience(5, sleep=waits.append))
    before = files_of(trader)
    from ml.hub.fetch import pull

    with pytest.raises(NetworkError, match=r"in 5 attempts .*run the same command again"):
        pull(store, Publisher(server.store("models"), new_signer()).keys, trader)
    assert len(waits) == 4
    assert waits == sorted(waits) or max(waits) <= 30.0
    assert files_of(trader) == before


def test_a_bucket_that_is_not_there_is_named_and_not_asked_again(server: S3Server, trader: Deployment) -> None:
    waits: list[float] = []
    with pytest.raises(NetworkError, match="there is no bucket nowhere at R2_ENDPOINT_URL"):
        PatientStore(server.store("nowhere"), Patience(5, sleep=waits.append)).names("revisions/")
    assert waits == []


def test_errors_show_neither_keys_nor_address(server: S3Server) -> None:
    with CuttingProxy(server.port) as proxy:
        port = proxy.port
    for store in (server.store("models", port), server.store("nowhere")):
        with pytest.raises((TroubleError, NetworkError)) as caught:
            store.names("revisions/")
        error: BaseException | None = caught.value
        while error is not None:
            shown = f"{error} {error!r}"
            assert KEY not in shown
            assert KEY_ID not in shown
            assert "127.0.0.1" not in shown
            error = None if error.__suppress_context__ else error.__cause__ or error.__context__
    place = server.place("models")
    assert KEY not in repr(place)
    assert KEY_ID not in repr(place)
    assert "127.0.0.1" not in repr(place)


def test_a_blob_cut_short_in_the_bucket_is_damaged_not_waited_for(server: S3Server, tmp_path: Path) -> None:
    bucket = server.new_bucket()
    digest = "ab" * 32
    server.store(bucket).create(blob_name(digest), io.BytesIO(b"short"), 5)
    for begun in (b"", b"something"):
        path = tmp_path / "part"
        path.write_bytes(begun)
        with pytest.raises(ModelError, match=r"damaged|missing"):
            PatientStore(server.store(bucket)).download(digest, 100, path, lambda there: None)
