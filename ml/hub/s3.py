"""A hub in an S3 bucket: Cloudflare R2, or any other server of that API."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO, NoReturn

from pydantic import SecretStr

from ml.hub.endpoint import ANY_REGION, ENDPOINT
from ml.hub.store import PIECE, AbsentError, TroubleError
from novosky.errors import NetworkError, NovoskyError, SettingsError

_ABSENT = {"NoSuchKey", "404", "NotFound", "InvalidRange"}
"""The last one: there is no such part of it."""
_TAKEN = {"PreconditionFailed", "412"}
_CONTESTED = {"ConditionalRequestConflict", "409", "OperationAborted"}
_ELSEWHERE = {
    "AuthorizationHeaderMalformed",
    "PermanentRedirect",
    "IllegalLocationConstraintException",
    "InvalidRegion",
}
_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"}
_PASSING = {"RequestTimeout", "RequestTimeTooSkewed", "SlowDown", "InternalError", "BadDigest", "ServiceUnavailable"}


@dataclass(frozen=True)
class S3Place:
    """Where the bucket is.

    Attributes
    ----------
    endpoint : SecretStr
        Holds the owner's account number.
    bucket : str
    key_id, key : SecretStr
    region : str
        What signatures name.
    connect_seconds, read_seconds : float
        Until a silent server counts as failed.
    page : int
        Names asked for at a time.
    """

    endpoint: SecretStr
    bucket: str
    key_id: SecretStr
    key: SecretStr
    region: str = ANY_REGION
    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    page: int = 1000


class S3Store:
    """Objects of a bucket; the port `ml.hub.store.Store`.

    It asks once: trying again is decided in one place, `ml.hub.patience`.
    """

    def __init__(self, place: S3Place) -> None:
        self._at = place

    @property
    def place(self) -> str:
        """The bucket; its address is not shown."""
        return f"bucket {self._at.bucket}"

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            retries={"total_max_attempts": 1},
            connect_timeout=self._at.connect_seconds,
            read_timeout=self._at.read_seconds,
            # Not every server of this API knows the newer checksums; ours are stronger.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"},
        )
        try:
            client = boto3.client(
                "s3",
                endpoint_url=self._at.endpoint.get_secret_value(),
                aws_access_key_id=self._at.key_id.get_secret_value(),
                aws_secret_access_key=self._at.key.get_secret_value(),
                region_name=self._at.region,
                config=config,
            )
            client.meta.events.register_last("before-call.s3", _send_at_once)
            client.meta.events.register_last("before-call.s3.HeadBucket", _follow_once)
            return client
        except ValueError:
            # Its text repeats the address.
            raise SettingsError(f"{ENDPOINT} is no address; write https://HOST as the store shows it") from None

    def names(self, prefix: str) -> list[str]:
        """Return the names of the objects below a prefix, sorted."""
        try:
            with self._asking(prefix):
                pages = self._client.get_paginator("list_objects_v2").paginate(
                    Bucket=self._at.bucket, Prefix=prefix, PaginationConfig={"PageSize": self._at.page}
                )
                return sorted(str(entry["Key"]) for page in pages for entry in _entries(page))
        except AbsentError:
            # A bucket answers with an empty list. Whoever knows no such thing took the question for one of an object.
            raise SettingsError(
                f"no {self.place} is found at {ENDPOINT}: the server answers a request for the list of its objects "
                "with 404; write the address of the store alone, without bucket or folder, and check R2_BUCKET"
            ) from None

    def size(self, name: str) -> int | None:
        """Return an object's size in bytes, None when there is none."""
        try:
            with self._asking(name):
                return _length(self._client.head_object(Bucket=self._at.bucket, Key=name), name)
        except AbsentError:
            return None

    @contextmanager
    def read(self, name: str, start: int = 0) -> Iterator[Iterator[bytes]]:
        """Open an object for reading from byte `start` in pieces."""
        part = {"Range": f"bytes={start}-"} if start else {}
        with self._asking(name):
            answer = self._client.get_object(Bucket=self._at.bucket, Key=name, **part)
            # Without it nobody would notice that the rest is missing.
            _length(answer, name)
            if start and answer["ResponseMetadata"]["HTTPStatusCode"] != 206:
                raise NetworkError(f"{self.place} does not answer to ranges; use a store that does")
        body = answer["Body"]
        try:
            yield self._pieces(name, body)
        finally:
            body.close()

    def create(self, name: str, content: BinaryIO, size: int) -> bool:
        """Store an object whole or not at all; False when the name is taken."""
        digest = hashlib.md5(usedforsecurity=False)
        while piece := content.read(PIECE):
            digest.update(piece)
        content.seek(0)
        try:
            with self._asking(name, creating=True):
                self._client.put_object(
                    Bucket=self._at.bucket,
                    Key=name,
                    Body=content,
                    ContentLength=size,
                    # The server refuses what was bent on its way, and never writes over a name.
                    ContentMD5=base64.b64encode(digest.digest()).decode("ascii"),
                    IfNoneMatch="*",
                )
        except FileExistsError:
            return False
        except AbsentError:
            raise self._permanent("NoSuchKey", 404) from None
        return True

    def _pieces(self, name: str, body: Any) -> Iterator[bytes]:
        with self._asking(name):
            yield from body.iter_chunks(PIECE)

    @contextmanager
    def _asking(self, name: str, *, creating: bool = False) -> Iterator[None]:
        """Sort the library's errors; their own texts hold the address and are not repeated."""
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
        from botocore.exceptions import IncompleteReadError as Incomplete
        from urllib3.exceptions import HTTPError

        try:
            yield
        except ClientError as error:
            self._refused(name, error, creating=creating)
        except (HTTPClientError, Incomplete, HTTPError, ConnectionError, TimeoutError) as error:
            raise TroubleError(f"{type(error).__name__} for {name}") from None
        except BotoCoreError as error:
            if "Connection" in type(error).__name__ or "Response" in type(error).__name__:
                raise TroubleError(f"{type(error).__name__} for {name}") from None
            raise NetworkError(
                f"{self.place} cannot be asked ({type(error).__name__}); check the R2_ settings in .env"
            ) from None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            # The library believes what an answer says: a size that is no number, an entry without a name.
            raise TroubleError(f"an answer that cannot be read ({type(error).__name__}) for {name}") from None

    def _refused(self, name: str, error: Any, *, creating: bool) -> NoReturn:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in _ABSENT:
            raise AbsentError(name) from None
        if creating and code in _TAKEN:
            raise FileExistsError(name) from None
        if status >= 500 or status in (408, 429) or code in _PASSING or code in _CONTESTED:
            raise TroubleError(f"{status} {code} for {name}") from None
        raise self._permanent(code, status) from None

    def _permanent(self, code: str, status: int) -> NovoskyError:
        """Return the error that says what is to be corrected."""
        if code == "NoSuchBucket":
            return NetworkError(f"there is no {self.place} at {ENDPOINT}; correct R2_BUCKET")
        if code in _ELSEWHERE or 300 <= status < 400:
            return SettingsError(
                f"{self.place} belongs to another address or region than {ENDPOINT} names, or a web page answers in "
                f"its place ({status} {code}); write the address of the bucket's own region, like "
                "https://s3.REGION.amazonaws.com"
            )
        if status in (401, 403) or code in _KEYS:
            return NetworkError(
                f"{self.place} refuses ({status} {code}); check R2_ACCESS_KEY_ID, R2_SECRET_ACCESS_KEY and their rights"
            )
        return NetworkError(f"{self.place} refuses ({status} {code}); check {ENDPOINT}, R2_BUCKET and the keys' rights")


def _send_at_once(params: Any, **_: Any) -> None:
    """Ask for no leave to send a body: the library waits for the answer's end for ever when it is cut off."""
    params["headers"].pop("Expect", None)


def _follow_once(context: Any, **_: Any) -> None:
    """Let the library's own question for the bucket's region not be redirected: it would ask for ever."""
    context.setdefault("s3_redirect", {})["redirected"] = True


def _entries(page: Any) -> list[Any]:
    """Return a page's entries; an answer cut off in its head must not look like a bucket without objects."""
    if "IsTruncated" not in page:
        raise TroubleError("the list of objects was cut off")
    return list(page.get("Contents", ()))


def _length(answer: Any, name: str) -> int:
    if "ContentLength" not in answer:
        raise TroubleError(f"the answer for {name} was cut off")
    return int(answer["ContentLength"])
