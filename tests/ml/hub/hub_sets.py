"""Checkouts with a tiny model set that fits their settings, and a publisher with keys: for the tests of the hub."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ml.hub.fetch import Pulled, pull
from ml.hub.patience import Patience, PatientStore
from ml.hub.publish import Pushed, push
from ml.hub.signing import PublicKey, Signer, public_of
from ml.hub.store import Store
from ml.sets.compat import Manifest, feature_hash, hash_training_settings, library_versions, write_manifest
from ml.sets.deployment import Deployment
from novosky.settings import load_ml_settings
from tests.ml.hub.hub_checkouts import deployment_in

ROOT = Path(__file__).resolve().parents[3]
FILES = ("ensemble_rf.pkl", "ensemble_scaler.pkl", "risk_lgb.txt")
NOW = datetime(2026, 1, 4, 2, 0, tzinfo=UTC)


def lay_out_checkout(folder: Path, content: str = "", **config: Any) -> Deployment:
    """Write settings and, when there is content, a set of three small files."""
    folder.mkdir(parents=True, exist_ok=True)
    target = deployment_in(folder)
    target.models.mkdir(exist_ok=True)
    change_config(target, json.loads((ROOT / "config.json").read_text(encoding="utf-8")), **config)
    target.ml_config.write_bytes((ROOT / "ml_config.json").read_bytes())
    if content:
        write_set(target, content)
    return target


def change_config(target: Deployment, content: dict[str, Any] | None = None, **changes: Any) -> None:
    """Change keys of config.json; sections are merged."""
    found: dict[str, Any] = content or json.loads(target.config.read_text(encoding="utf-8"))
    for key, value in changes.items():
        found[key] = {**found[key], **value} if isinstance(value, dict) else value
    target.config.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def write_set(target: Deployment, content: str) -> None:
    """Write a set whose files hold `content`, several pieces of a download long."""
    ml_settings = load_ml_settings(target.ml_config)
    artifacts = {}
    for name in FILES:
        data = f"{name} {content} ".encode() * 12_000
        (target.models / name).write_bytes(data)
        artifacts[name] = hashlib.sha256(data).hexdigest()
    write_manifest(
        target.models,
        Manifest(
            features=ml_settings.features,
            feature_hash=feature_hash(ml_settings.features),
            feature_count=len(ml_settings.features),
            artifacts=artifacts,
            versions=library_versions(),
            train_start="2022-01-01T00:00:00+00:00",
            train_end="2024-01-01T00:00:00+00:00",
            train_cutoff_date="2023-12-30T00:00:00+00:00",
            data_hash="0" * 64,
            config_hash=hash_training_settings(ml_settings),
        ),
    )


def new_signer(seed: int = 1) -> Signer:
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    name = hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()[:16]
    return Signer(name, key)


def hurried(store: Store, attempts: int = 4) -> PatientStore:
    """A store asked again without waiting."""
    return PatientStore(store, Patience(attempts, sleep=lambda seconds: None))


@dataclass(frozen=True)
class Publisher:
    """Pushes to a store and pulls from it."""

    store: Store
    signer: Signer

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        return (public_of(self.signer),)

    def push(self, target: Deployment, tag: str | None = None, *, attempts: int = 4, **more: Any) -> Pushed:
        return push(hurried(self.store, attempts), self.signer, self.keys, target, NOW, tag=tag, **more)

    def pull(
        self,
        target: Deployment,
        tag: str | None = None,
        *,
        keys: Sequence[PublicKey] | None = None,
        attempts: int = 4,
        **more: Any,
    ) -> Pulled:
        return pull(hurried(self.store, attempts), keys or self.keys, target, tag=tag, **more)


def files_of(target: Deployment) -> dict[str, bytes]:
    """Return models and both settings files, byte for byte."""
    found = {path.name: path.read_bytes() for path in target.models.iterdir()}
    return found | {"config": target.config.read_bytes(), "ml_config": target.ml_config.read_bytes()}


def model_files(target: Deployment) -> dict[str, bytes]:
    """Return what a set consists of and ml_config.json."""
    return {name: data for name, data in files_of(target).items() if name not in ("config", "hub_revision.json")}
