"""Pulling a revision: signature, then hashes, then a swap of models and settings as a whole."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml.hub.catalogue import (
    Published,
    catalogue,
    installed_revision,
    newest_approved,
    read_published,
    refuse_older,
    trusted,
)
from ml.hub.patience import PatientStore
from ml.hub.publish import Check, Progress
from ml.hub.revision import ML_CONFIG, MODELS, STRATEGY, Revision
from ml.hub.signing import PublicKey
from ml.hub.store import AbsentError, blob_name
from ml.sets.companions import DESCRIPTIONS, MANIFEST_NAME, REVISION_NAME
from ml.sets.compat import read_manifest, verify_compat
from ml.sets.deployment import Deployment, recover, replace_deployment, rollback
from ml.sets.directories import link_or_copy
from novosky.errors import ModelCompatibilityError, ModelError
from novosky.files import sha256_of, write_bytes
from novosky.guarded_json import parse_json
from novosky.market.same_market import Market, require_same_market
from novosky.persistence import remove_file
from novosky.settings import Settings, load_ml_settings, load_settings
from novosky.settings.differences import Change, changes_between
from novosky.settings.strategy import put_strategy, strategy_of

MOST_STRATEGY_BYTES = 1 << 20


@dataclass(frozen=True)
class Pulled:
    """What a pull has done.

    Attributes
    ----------
    revision : Revision
    already : bool
        This very revision was in place; nothing was changed.
    changes : tuple of Change
        What became different in config.json.
    """

    revision: Revision
    already: bool
    changes: tuple[Change, ...] = ()


def pull(
    store: PatientStore,
    keys: Sequence[PublicKey],
    target: Deployment,
    *,
    tag: str | None = None,
    check: Check | None = None,
    progress: Progress | None = None,
) -> Pulled:
    """Put a revision in place: models and `ml_config.json` byte for byte, the strategy into `config.json`.

    What else config.json says stays, and the limits of the owner's profile hold. Until
    everything has been verified nothing in place changes. A pull that broke off goes on where
    it was.

    Parameters
    ----------
    store : PatientStore
    keys : sequence of PublicKey
    target : Deployment
    tag : str, optional
        Otherwise the newest approved revision of the profile in `target.config`, which must
        not be older than the one in place.
    check : callable, optional
        Asked about the new deployment before it takes its place.
    progress : callable, optional

    Raises
    ------
    UsageError
        No such revision.
    ModelError
        Not signed by a trusted key, damaged, incomplete, older, or not loadable.
    ModelCompatibilityError
        It was made for other features, libraries or settings than this version knows.
    NetworkError, StorageError
        The store or the disk failed.
    LockedError
        A training run is writing the set.
    """
    recover(target)
    settings = load_settings(target.config)
    if tag is not None:
        chosen = read_published(store, keys, tag)
    else:
        chosen = newest_approved(trusted(catalogue(store, keys)), settings, store.place)
        refuse_older(chosen.revision, target.models)
    require_same_market(
        Market(f"revision {chosen.revision.tag}", chosen.revision.symbol, chosen.revision.timeframe),
        Market(str(target.config), settings.symbol, settings.timeframe),
        f"pull a revision for {settings.symbol} (--list shows what there is), or set symbol in {target.config}",
    )
    strategy = _strategy(store, chosen.revision)
    if _is_in_place(chosen.revision, strategy, target):
        return Pulled(chosen.revision, already=True)
    with replace_deployment(target) as incoming:
        original = target.config.read_bytes()
        arrived = _download(store, chosen.revision, target, progress)
        _lay_out(chosen, arrived, incoming)
        config = put_strategy(original, strategy)
        write_bytes(incoming.config, config)
        _require_startable(chosen.revision, incoming)
        if check is not None:
            check(incoming)
    shutil.rmtree(_arrivals(target), ignore_errors=True)
    changes = changes_between(_content(original), _content(config))
    return Pulled(chosen.revision, already=False, changes=tuple(changes))


def roll_back(target: Deployment) -> Revision | None:
    """Put the deployment before the present one back; return its revision, None when it was not pulled.

    Edits of config.json made since are kept, with the strategy of the set that comes back.

    Raises
    ------
    ModelError
        There is none, or it has been damaged.
    """
    rollback(target, adapt=_with_strategy_of)
    return installed_revision(target.models)


def _is_in_place(revision: Revision, strategy: Mapping[str, Any], target: Deployment) -> bool:
    """Tell whether models and settings on disk are already what a pull would put there."""
    if installed_revision(target.models) != revision:
        return False
    places = {name: _place(name, target) for name in revision.files if name != STRATEGY}
    if any(not path.is_file() or sha256_of(path) != revision.files[name].sha256 for name, path in places.items()):
        return False
    present = target.config.read_bytes()
    return put_strategy(present, strategy) == present


def _content(config: bytes) -> dict[str, Any]:
    content: dict[str, Any] = parse_json(config, "config.json")
    return content


def _with_strategy_of(previous: bytes, present: bytes) -> bytes:
    return put_strategy(present, strategy_of(Settings.model_validate(_content(previous))))


def _place(name: str, deployment: Deployment) -> Path:
    return deployment.ml_config if name == ML_CONFIG else deployment.models / name.removeprefix(MODELS)


def _arrivals(target: Deployment) -> Path:
    """Return where downloads wait: beside the set, kept when a pull breaks off."""
    models = target.models.resolve()
    return models.parent / f".{models.name}.arrivals"


def _download(store: PatientStore, revision: Revision, target: Deployment, progress: Progress | None) -> Path:
    """Bring every file of a revision, by hash, into a folder; what the set in place has already is not asked for."""
    folder = _arrivals(target)
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: blob for name, blob in sorted(revision.files.items()) if name != STRATEGY}
    wanted = {blob.sha256 for blob in files.values()}
    for stale in folder.iterdir():
        if stale.name not in wanted:
            remove_file(stale)
    moved = 0
    for name, blob in files.items():
        path, here = folder / blob.sha256, _place(name, target)
        if not path.exists() and here.is_file() and sha256_of(here) == blob.sha256:
            # A copy: what is being collected must not change under us.
            shutil.copyfile(here, path)

        def tell(there: int, name: str = name, before: int = moved) -> None:
            if progress is not None:
                progress(name, before + there, revision.size)

        tell(0)
        if blob.size == 0:
            path.touch()
        store.download(blob.sha256, blob.size, path, tell)
        moved += blob.size
    if progress is not None:
        progress("verified", moved, revision.size)
    return folder


def _lay_out(chosen: Published, arrived: Path, incoming: Deployment) -> None:
    for name, blob in chosen.revision.files.items():
        if name == STRATEGY:
            continue
        place = _place(name, incoming)
        if name.startswith(MODELS):
            link_or_copy(str(arrived / blob.sha256), str(place))
        else:
            write_bytes(place, (arrived / blob.sha256).read_bytes())
        # Looked at once more where it will stay: nothing unverified is put in place.
        if sha256_of(place) != blob.sha256:
            raise ModelError(f"{name} changed on this disk while it was put together; check the disk")
    write_bytes(incoming.models / REVISION_NAME, chosen.envelope)


def _strategy(store: PatientStore, revision: Revision) -> dict[str, Any]:
    """Return a revision's strategy, its hash checked."""
    blob, source = revision.files[STRATEGY], f"the strategy of {revision.tag} at {store.place}"
    try:
        text = store.small(blob_name(blob.sha256), MOST_STRATEGY_BYTES)
    except AbsentError as error:
        raise ModelError(f"{source} is missing; nothing was changed here. Pull another revision.") from error
    if hashlib.sha256(text).hexdigest() != blob.sha256:
        raise ModelError(f"{source} is damaged; nothing was changed here. Pull another revision.")
    try:
        content = parse_json(text, "strategy", max_bytes=MOST_STRATEGY_BYTES)
        if not isinstance(content, dict):
            raise ValueError("no object")
    except ValueError as error:
        raise ModelError(f"{source} cannot be read ({error}); pull another revision") from error
    return content


def _require_startable(revision: Revision, incoming: Deployment) -> None:
    """Check what can be checked without loading a model: that it is one whole set, for these features and libraries."""
    manifest = read_manifest(incoming.models)
    listed = {
        name.removeprefix(MODELS): blob.sha256 for name, blob in revision.files.items() if name.startswith(MODELS)
    }
    described = {name: digest for name, digest in listed.items() if name not in (MANIFEST_NAME, *DESCRIPTIONS)}
    if described != {name: digest for name, digest in manifest.artifacts.items() if name not in DESCRIPTIONS}:
        raise ModelError(f"revision {revision.tag} contradicts itself: its files are not those of its {MANIFEST_NAME}")
    if manifest.feature_hash != revision.feature_hash:
        raise ModelCompatibilityError(f"revision {revision.tag} contradicts itself about its features")
    verify_compat(incoming.models, load_ml_settings(incoming.ml_config))
    load_settings(incoming.config)
