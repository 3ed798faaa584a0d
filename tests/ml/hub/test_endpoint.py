"""Which server an S3 address means, and that no answer of whatever answers there is a defect."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr

from ml.hub.access import open_store
from ml.hub.endpoint import endpoint_of
from ml.hub.patience import Patience, PatientStore
from ml.hub.s3 import S3Place, S3Store
from ml.hub.store import AbsentError, TroubleError, blob_name, revision_name
from novosky.errors import NetworkError, NovoskyError, SettingsError
from tests.helpers.command_line import run_script
from tests.hosts.hub_s3 import KEY, KEY_ID, S3Server

R2 = "https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com"
EU = "https://0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com"


@pytest.mark.parametrize(
    ("address", "url", "region"),
    [
        (R2, R2, "auto"),
        (f"{R2}/", R2, "auto"),
        (f"{R2}/models", R2, "auto"),
        (f"{R2}/models/", R2, "auto"),
        (f"{R2}//models//", R2, "auto"),
        (f"  '{R2}/models' ", R2, "auto"),
        (R2.removeprefix("https://") + "/models", R2, "auto"),
        (R2.replace("https://", "https://models."), R2, "auto"),
        (R2.replace("https://", "https://models.") + "/models", R2, "auto"),
        (f"{EU}/models", EU, "auto"),
        (R2.upper().replace("HTTPS", "https"), R2, "auto"),
        (f"{R2}:443/models", f"{R2}:443", "auto"),
        ("http://127.0.0.1:5556/models", "http://127.0.0.1:5556", "auto"),
        ("127.0.0.1:9000", "http://127.0.0.1:9000", "auto"),
        ("localhost:9000/models", "http://localhost:9000", "auto"),
        ("http://models.localhost:9000", "http://localhost:9000", "auto"),
        ("http://[::1]:9000/models", "http://[::1]:9000", "auto"),
        ("http://minio:9000/models/", "http://minio:9000", "auto"),
        ("minio.example.com/models", "https://minio.example.com", "auto"),
        ("https://models.example.com", "https://models.example.com", "auto"),
        ("https://s3.eu-central-1.amazonaws.com/models", "https://s3.eu-central-1.amazonaws.com", "eu-central-1"),
        ("https://models.s3.eu-central-1.amazonaws.com", "https://s3.eu-central-1.amazonaws.com", "eu-central-1"),
        ("https://models.s3.amazonaws.com", "https://s3.amazonaws.com", "us-east-1"),
        ("https://models.s3-us-west-2.amazonaws.com", "https://s3-us-west-2.amazonaws.com", "us-west-2"),
        ("https://s3.us-west-004.backblazeb2.com", "https://s3.us-west-004.backblazeb2.com", "us-west-004"),
        ("https://s3.fr-par.scw.cloud/models", "https://s3.fr-par.scw.cloud", "fr-par"),
        ("https://models.fra1.digitaloceanspaces.com", "https://fra1.digitaloceanspaces.com", "auto"),
        ("https://storage.googleapis.com/models", "https://storage.googleapis.com", "auto"),
        ("https://x.supabase.co/storage/v1/s3/models", "https://x.supabase.co/storage/v1/s3", "auto"),
        ("https://x.supabase.co/storage/v1/s3", "https://x.supabase.co/storage/v1/s3", "auto"),
    ],
)
def test_the_bucket_in_an_address_is_taken_off(address: str, url: str, region: str) -> None:
    found = endpoint_of(address, "models")
    assert (found.url, found.region) == (url, region)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("store", "is no address"),
        ("https://", "names no host"),
        ("https:///models", "names no host"),
        ("https://a b.example", "names no host"),
        ("https://store.example:99999", "port cannot be read"),
        ("https://store.example:abc", "port cannot be read"),
        ("https://[::1", "cannot be read"),
        ("ftp://store.example", "no address of a web server"),
        ("s3://models", "no address of a web server"),
        ("file:///srv/hub", "no address of a web server"),
        ("https://key:secret@store.example", "holds a name or password"),
        (f"{R2}/other", "something else than the bucket"),
        (f"{R2}/models/v1", "something else than the bucket"),
        (f"{R2}/other/models", "something else than the bucket"),
        ("https://dash.cloudflare.com/0123/r2/default/buckets/models", "something else than the bucket"),
        (f"{R2}/models?list-type=2", "more than an address"),
        (f"{R2}#models", "more than an address"),
    ],
)
def test_an_address_that_cannot_be_meant_is_named_and_not_shown(address: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as error:
        endpoint_of(address, "models")
    assert "R2_ENDPOINT_URL" in str(error.value)
    assert "secret" not in str(error.value)
    assert "0123" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("R2_BUCKET", "models/v1"),
        ("R2_BUCKET", "s3://models"),
        ("R2_BUCKET", "my models"),
        ("R2_ACCESS_KEY_ID", "clé"),
        ("R2_SECRET_ACCESS_KEY", "se cret"),
    ],
)
def test_settings_that_no_store_has_are_named(name: str, value: str) -> None:
    environment = {"R2_ENDPOINT_URL": R2, "R2_ACCESS_KEY_ID": "a", "R2_SECRET_ACCESS_KEY": "b", "R2_BUCKET": "models"}
    with pytest.raises(SettingsError, match=name) as error:
        open_store({**environment, name: value}, "s3")
    assert value not in str(error.value)


ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{}</Code><Message>no</Message></Error>'
LIST = '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{}</ListBucketResult>'
PAGE = "<html><head><title>Sign in</title></head><body><p>Welcome<br>to the network</body></html>"
ANSWERS: dict[str, tuple[int, str]] = {
    "no key": (404, ERROR.format("NoSuchKey")),
    "no bucket": (404, ERROR.format("NoSuchBucket")),
    "denied": (403, ERROR.format("AccessDenied")),
    "unknown key": (403, ERROR.format("InvalidAccessKeyId")),
    "wrong key": (403, ERROR.format("SignatureDoesNotMatch")),
    "expired": (400, ERROR.format("ExpiredToken")),
    "other region": (400, ERROR.format("AuthorizationHeaderMalformed")),
    "redirect": (301, ERROR.format("PermanentRedirect")),
    "redirect to a page": (302, PAGE),
    "temporary redirect": (307, ERROR.format("TemporaryRedirect")),
    "not modified": (304, ""),
    "precondition": (412, ERROR.format("PreconditionFailed")),
    "conflict": (409, ERROR.format("OperationAborted")),
    "range": (416, ERROR.format("InvalidRange")),
    "method": (405, ERROR.format("MethodNotAllowed")),
    "page found": (200, PAGE),
    "page not found": (404, PAGE),
    "page forbidden": (403, PAGE),
    "page of a proxy": (502, PAGE),
    "proxy asks": (407, PAGE),
    "unavailable": (503, ERROR.format("SlowDown")),
    "internal": (500, ERROR.format("InternalError")),
    "internal, empty": (500, ""),
    "empty": (200, ""),
    "no content": (204, ""),
    "not found, empty": (404, ""),
    "JSON": (200, '{"error": "not S3"}'),
    "truncated": (200, LIST.format("<IsTruncated>false</IsTruncated>")[:-30]),
    "no name": (200, LIST.format("<IsTruncated>false</IsTruncated><Contents><Size>1</Size></Contents>")),
    "no number": (200, LIST.format("<IsTruncated>false</IsTruncated><Contents><Key>k</Key><Size>x</Size></Contents>")),
    "no date": (
        200,
        LIST.format("<IsTruncated>no</IsTruncated><Contents><LastModified>never</LastModified></Contents>"),
    ),
    "endless": (200, LIST.format("<IsTruncated>true</IsTruncated><NextContinuationToken>a</NextContinuationToken>")),
    "other XML": (200, '<?xml version="1.0"?><rss><channel/></rss>'),
    "an error with 200": (200, ERROR.format("InternalError")),
    "error without a code": (400, '<?xml version="1.0"?><Error></Error>'),
    "half an error": (403, ERROR.format("AccessDenied")[:60]),
}


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    """Serve one answer to every request; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            content = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if body.startswith("<html") else "application/xml")
            self.send_header("Content-Length", str(len(content)))
            if 300 <= status < 400 and status != 304:
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = answer

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _read(store: PatientStore) -> object:
    return store.small(revision_name("v20240105-p3"), 1 << 20)


ACTS: dict[str, Callable[[PatientStore], object]] = {
    "list": lambda store: store.names("revisions/"),
    "size": lambda store: store.size(blob_name("ab" * 32)),
    "read": _read,
    "create": lambda store: store.create_bytes(revision_name("v20240105-p3"), b"{}"),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_every_answer_is_an_answer_or_an_error_that_says_what_to_do(answer: str) -> None:
    with answering(*ANSWERS[answer]) as url:
        place = S3Place(SecretStr(url), "models", SecretStr(KEY_ID), SecretStr(KEY), connect_seconds=2, read_seconds=2)
        store = PatientStore(S3Store(place), Patience(2, sleep=lambda seconds: None))
        for name, act in ACTS.items():
            try:
                found = act(store)
            except NovoskyError as error:
                assert url not in str(error), name
            except AbsentError:
                # The port's own word for an object that is not there; a list is never absent.
                assert name == "read"
            else:
                assert name != "list", f"{found!r}: what is no list must not look like an empty bucket"


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        ("no key", SettingsError, "without bucket or folder"),
        ("page not found", SettingsError, "without bucket or folder"),
        ("no bucket", NetworkError, "R2_BUCKET"),
        ("denied", NetworkError, "R2_SECRET_ACCESS_KEY"),
        ("unknown key", NetworkError, "R2_ACCESS_KEY_ID"),
        ("wrong key", NetworkError, "R2_SECRET_ACCESS_KEY"),
        ("other region", SettingsError, "region"),
        ("redirect", SettingsError, "region"),
        ("redirect to a page", SettingsError, "web page"),
        ("unavailable", NetworkError, "did not answer properly"),
        ("page found", NetworkError, "did not answer properly"),
        ("empty", NetworkError, "did not answer properly"),
        ("no number", NetworkError, "did not answer properly"),
    ],
)
def test_a_list_that_cannot_be_had_says_why(answer: str, kind: type[NovoskyError], said: str) -> None:
    with answering(*ANSWERS[answer]) as url:
        place = S3Place(SecretStr(url), "models", SecretStr(KEY_ID), SecretStr(KEY), connect_seconds=2, read_seconds=2)
        with pytest.raises(kind, match=said):
            PatientStore(S3Store(place), Patience(2, sleep=lambda seconds: None)).names("revisions/")


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    found = S3Server()
    yield found
    found.close()


@pytest.mark.parametrize("path", ["", "/", "/{bucket}", "/{bucket}/"])
def test_the_address_with_the_bucket_at_its_end_lists_pushes_and_verifies(server: S3Server, path: str) -> None:
    bucket = server.new_bucket()
    environment = {
        "R2_ENDPOINT_URL": f"http://127.0.0.1:{server.port}{path.format(bucket=bucket)}",
        "R2_ACCESS_KEY_ID": KEY_ID,
        "R2_SECRET_ACCESS_KEY": KEY,
        "R2_BUCKET": bucket,
    }
    store = open_store(environment)
    assert store.names("revisions/") == []
    assert store.create("revisions/a.json", io.BytesIO(b"{}"), 2)
    assert store.names("revisions/") == ["revisions/a.json"]
    assert [each["Key"] for each in server.client.list_objects_v2(Bucket=bucket)["Contents"]] == ["revisions/a.json"]


def test_another_buckets_address_ends_with_3(server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> None:
    bucket, other = server.new_bucket(), server.new_bucket()
    folder = tmp_path_factory.mktemp("trader")
    environment = {
        "R2_ENDPOINT_URL": f"http://127.0.0.1:{server.port}/{other}",
        "R2_ACCESS_KEY_ID": KEY_ID,
        "R2_SECRET_ACCESS_KEY": KEY,
        "R2_BUCKET": bucket,
        "NOVOSKY_HUB_PUBLIC_KEY": "7Vom7DvRdUxWZOY618obD/Q7lke3CG7bxj1YBx9ZqiM=",
    }
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in environment.items()), encoding="utf-8")
    answer = run_script("ml/r2_hub.py", "--list", "--attempts", 2, cwd=folder)
    assert answer.code == 3
    assert "R2_ENDPOINT_URL goes on after the host" in answer.err
    assert TroubleError.__name__ not in answer.err
