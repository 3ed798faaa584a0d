"""A real S3 server as a process on the loopback, with buckets for tests."""

from __future__ import annotations

import itertools
import subprocess
import sys
from functools import cached_property
from typing import Any

from pydantic import SecretStr

from ml.hub.s3 import S3Place, S3Store

KEY_ID, KEY = "AKIAEXAMPLE", "wJalr-secret-of-the-tests"
SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
# Ends with whoever started it.
sys.stdin.read()
"""


class S3Server:
    """The server; every test takes a bucket of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self._numbers = itertools.count()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def new_bucket(self) -> str:
        bucket = f"models-{next(self._numbers)}"
        self.client.create_bucket(Bucket=bucket)
        return bucket

    def empty(self, bucket: str) -> None:
        """Remove every object of a bucket."""
        listed = self.client.list_objects_v2(Bucket=bucket).get("Contents", [])
        if listed:
            self.client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": each["Key"]} for each in listed]})

    @cached_property
    def client(self) -> Any:
        """A client of the tests' own, to look at buckets past the code under test."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=KEY,
            region_name="us-east-1",
        )

    def place(self, bucket: str, port: int | None = None) -> S3Place:
        return S3Place(
            SecretStr(f"http://127.0.0.1:{port or self.port}"),
            bucket,
            SecretStr(KEY_ID),
            SecretStr(KEY),
            connect_seconds=5.0,
            read_seconds=5.0,
            page=10,
        )

    def store(self, bucket: str, port: int | None = None) -> S3Store:
        return S3Store(self.place(bucket, port))
