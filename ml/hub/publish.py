"""Publishing a revision: blobs first, the signed manifest last, so that what is listed is complete."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ml.hub.catalogue import Published, catalogue, trusted
from ml.hub.patience import PatientStore
from ml.hub.revision import (
    ML_CONFIG,
    MODELS,
    MOST_FILE_BYTES,
    STRATEGY,
    Blob,
    Revision,
    default_tag,
    parse_revision,
    parse_tag,
)
from ml.hub.signing import PublicKey, Signer, public_of, seal
from ml.hub.store import blob_name, revision_name
from ml.sets.companions import DESCRIPTIONS, MANIFEST_NAME
from ml.sets.compat import Manifest, damaged_artifacts, hash_training_settings, read_manifest, verify_compat
from ml.sets.deployment import Deployment, recover
from ml.sets.model_market import require_models_of
from ml.sets.model_set import lock_model_set
from novosky.errors import ModelCompatibilityError, ModelError, StorageError, UsageError
from novosky.files import sha256_of
from novosky.settings import MlSettings, Settings, load_ml_settings, load_settings
from novosky.settings.profiles import Profile, profile_named
from novosky.settings.strategy import strategy_of

Progress = Callable[[str, int, int], None]
"""Called with (what is being moved, bytes moved, all bytes)."""
Check = Callable[[Deployment], None]
"""Raises when a bot could not start from a deployment."""
_LOCK_WAIT_SECONDS = 10.0


@dataclass(frozen=True)
class Pushed:
    """What a push has done; `already` when this very revision was there before."""

    revision: Revision
    already: bool


def push(
    store: PatientStore,
    signer: Signer,
    keys: Sequence[PublicKey],
    target: Deployment,
    created: datetime,
    *,
    tag: str | None = None,
    approved: bool = True,
    check: Check | None = None,
    progress: Progress | None = None,
) -> Pushed:
    """Publish the set in place with its settings as a new revision.

    A push that broke off is taken up by the next one: blobs that are there are not sent again.

    Parameters
    ----------
    store : PatientStore
    signer : Signer
    keys : sequence of PublicKey
        Those trusted, which must include the signer's: else nobody could pull what is pushed.
    target : Deployment
    created : datetime
        Now, with a time zone.
    tag : str, optional
        Instead of `vYYYYMMDD-pN` of that day and the configured profile.
    approved : bool
        Whether traders get it by a pull without a tag.
    check, progress : callable, optional

    Raises
    ------
    UsageError
        The tag is taken by another revision or names another profile.
    ModelError
        The set is incomplete, damaged, or does not fit its settings; or the hub holds
        revisions that cannot be trusted.
    NetworkError, StorageError
        The store failed; nothing is listed that is not complete.
    """
    _require_known_key(signer, keys)
    recover(target)
    with lock_model_set(target.models, wait_seconds=_LOCK_WAIT_SECONDS):
        settings, ml_settings = load_settings(target.config), load_ml_settings(target.ml_config)
        profile = profile_named(settings.risk_profile.name)
        tag = _tag_of(profile, tag, created, target)
        manifest = _require_publishable(target, settings, ml_settings)
        if check is not None:
            check(target)
        contents = _contents(target, settings, manifest)
        revision = Revision(
            tag=tag,
            sequence=1,
            created=created.isoformat(timespec="seconds"),
            profile=profile.name,
            approved=approved,
            symbol=settings.symbol,
            timeframe=settings.timeframe,
            train_cutoff_date=manifest.train_cutoff_date,
            feature_hash=manifest.feature_hash,
            files={name: _blob(content) for name, content in contents.items()},
        )
        # Whatever a pull would refuse is not published.
        parse_revision(revision.text(), f"revision {tag}")
        others = trusted(catalogue(store, keys))
        same = next((each.revision for each in others if each.revision.tag == tag), None)
        if same is not None:
            return Pushed(_same_or_refuse(same, revision), already=True)
        revision = replace(revision, sequence=1 + _highest(others))
        _upload(store, contents, revision, progress or _silent)
        if not store.create_bytes(revision_name(tag), seal(revision.text(), signer)):
            raise _taken(tag)
    return Pushed(revision, already=False)


def _require_known_key(signer: Signer, keys: Sequence[PublicKey]) -> None:
    if public_of(signer).name not in {key.name for key in keys}:
        raise UsageError(
            "the private key does not belong to a trusted public key; pulls would refuse what it signs. Publish its "
            "own hub.pub, or sign with the key that traders know"
        )


def _tag_of(profile: Profile, tag: str | None, created: datetime, target: Deployment) -> str:
    """Return the tag of the revision; one that was given must name the profile the settings are of."""
    tag = default_tag(created, profile) if tag is None else tag
    if parse_tag(tag) != profile:
        raise UsageError(f"--tag {tag} names another profile than {target.config}, which says {profile.name}")
    return tag


def _require_publishable(target: Deployment, settings: Settings, ml_settings: MlSettings) -> Manifest:
    manifest = read_manifest(target.models)
    damaged = damaged_artifacts(target.models, manifest)
    if damaged:
        raise ModelError(f"not published: {next(iter(damaged.values()))}")
    verify_compat(target.models, ml_settings)
    require_models_of(target.models, manifest, settings)
    if manifest.config_hash != hash_training_settings(ml_settings):
        raise ModelCompatibilityError(
            f"not published: `labeling` or `signal_model` in {target.ml_config} changed since the set was trained; "
            "train with --no-warmstart, or put the settings back it was trained with"
        )
    return manifest


def _contents(target: Deployment, settings: Settings, manifest: Manifest) -> dict[str, Path | bytes]:
    """Return every file of the revision: where it lies, or what is in it."""
    names = [*manifest.artifacts, MANIFEST_NAME]
    names += [name for name in DESCRIPTIONS if (target.models / name).is_file() and name not in names]
    contents: dict[str, Path | bytes] = {MODELS + name: target.models / name for name in sorted(names)}
    contents[ML_CONFIG] = target.ml_config
    strategy = json.dumps(strategy_of(settings), indent=2, ensure_ascii=False) + "\n"
    contents[STRATEGY] = strategy.encode("utf-8")
    return contents


def _blob(content: Path | bytes) -> Blob:
    if isinstance(content, bytes):
        return Blob(hashlib.sha256(content).hexdigest(), len(content))
    size = content.stat().st_size
    if size > MOST_FILE_BYTES:
        raise StorageError(f"{content} is larger than {MOST_FILE_BYTES:,} bytes; train smaller models")
    return Blob(sha256_of(content), size)


def _highest(others: Sequence[Published]) -> int:
    return max((each.revision.sequence for each in others), default=0)


def _same_or_refuse(there: Revision, mine: Revision) -> Revision:
    if (there.files, there.approved) != (mine.files, mine.approved):
        raise _taken(mine.tag)
    return there


def _taken(tag: str) -> UsageError:
    day, _, number = tag.partition(".")
    return UsageError(
        f"revision {tag} exists with other content, and revisions never change; choose another tag, like --tag "
        f"{day}.{int(number or 1) + 1}"
    )


def _upload(store: PatientStore, contents: Mapping[str, Path | bytes], revision: Revision, progress: Progress) -> None:
    moved = 0
    for name, content in contents.items():
        blob = revision.files[name]
        progress(name, moved, revision.size)
        if isinstance(content, bytes):
            if not store.create_bytes(blob_name(blob.sha256), content):
                raise ModelError(f"{blob_name(blob.sha256)} at {store.place} is damaged; have it removed and push anew")
        else:
            store.upload(blob_name(blob.sha256), content)
        moved += blob.size
    progress("manifest", moved, revision.size)


def _silent(what: str, done: int, total: int) -> None:
    """Take progress and show nothing."""
