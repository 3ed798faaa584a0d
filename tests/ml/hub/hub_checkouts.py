"""Small deployments for the tests of the hub: three parts that say which version they are of."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ml.sets.deployment import Deployment, replace_deployment
from novosky.files import write_text

ARTIFACTS = ("a.pkl", "b.pkl")
LOG = "optimize_log.json"


def deployment_in(folder: Path) -> Deployment:
    return Deployment(folder / "models", folder / "config.json", folder / "ml_config.json")


def write_models(models: Path, version: str) -> None:
    models.mkdir(exist_ok=True)
    hashes = {}
    for name in ARTIFACTS:
        text = f"{name} {version}"
        write_text(models / name, text)
        hashes[name] = hashlib.sha256(text.encode()).hexdigest()
    write_text(models / "model_compat.json", json.dumps({"artifacts": hashes, "version": version}))


def lay_out(folder: Path, version: str = "old") -> Deployment:
    """Write a deployment, with a log of the owner's among the models."""
    target = deployment_in(folder)
    write_models(target.models, version)
    write_text(target.models / LOG, "[1]")
    write_text(target.config, f'{{"version": "{version}"}}')
    write_text(target.ml_config, f'{{"ml": "{version}"}}')
    return target


def deploy(target: Deployment, version: str) -> None:
    """Replace all three parts."""
    with replace_deployment(target) as incoming:
        write_models(incoming.models, version)
        write_text(incoming.config, f'{{"version": "{version}"}}')
        write_text(incoming.ml_config, f'{{"ml": "{version}"}}')


def content_of(target: Deployment) -> dict[str, bytes]:
    """Return every file of the three parts, byte for byte."""
    found = {path.name: path.read_bytes() for path in target.models.iterdir()}
    return found | {"config": target.config.read_bytes(), "ml_config": target.ml_config.read_bytes()}


def whole(version: str) -> dict[str, bytes]:
    """Return what `content_of` says of a deployment of one version."""
    texts = {name: f"{name} {version}" for name in ARTIFACTS}
    hashes = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    texts |= {"model_compat.json": json.dumps({"artifacts": hashes, "version": version}), LOG: "[1]"}
    texts |= {"config": f'{{"version": "{version}"}}', "ml_config": f'{{"ml": "{version}"}}'}
    return {name: text.encode() for name, text in texts.items()}


def leftovers(target: Deployment) -> set[str]:
    """Return what lies beside a deployment besides itself, its lock and the previous one."""
    known = {"models", "config.json", "ml_config.json", ".models.lock", ".models.previous"}
    return {path.name for path in target.models.parent.iterdir()} - known
