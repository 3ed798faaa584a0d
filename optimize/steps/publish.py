"""The hub, from the weekly run's side: find out early whether publishing can work, and publish what was approved."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from ml.hub.access import open_store, signer, trusted_keys
from ml.hub.catalogue import published_tags
from ml.hub.folder import FolderStore
from ml.hub.patience import PatientStore
from ml.hub.publish import push
from ml.hub.revision import default_tag
from ml.hub.store import REVISIONS, Store
from ml.sets.deployment import recover
from novosky.environment import HUB_FOLDER
from novosky.errors import UsageError
from novosky.settings import load_settings
from novosky.settings.profiles import profile_named
from optimize.state.run import OptimizeRun
from optimize.state.workspace import digests


def check_publishable(environment: Mapping[str, str], root: Path) -> None:
    """Raise what publishing would raise: no hub, no key, an unknown key.

    Raises
    ------
    SettingsError, UsageError, StorageError
    """
    store = _store(environment)
    if isinstance(store, FolderStore):
        store.names(REVISIONS)
    signer(environment)
    trusted_keys(environment, root)


def publish(run: OptimizeRun) -> str | None:
    """Publish the approved set as the day's revision, or its next number, and return its tag.

    A revision that an earlier attempt has published already is not published twice. None when
    something else was put in place since: what a person has taken back must not reach traders.
    """
    challenger = run.workspace.challenger
    recover(run.live)
    if digests(run.live)[0] != digests(challenger)[0]:
        return None
    store = PatientStore(_store(run.environment))
    key, keys = signer(run.environment), trusted_keys(run.environment, run.root)
    created = datetime.fromtimestamp(run.now(), tz=UTC)
    profile = profile_named(load_settings(challenger.config).risk_profile.name)
    day = default_tag(datetime.fromisoformat(run.started), profile)
    taken = sorted((_number(tag), tag) for tag in published_tags(store) if tag.partition(".")[0] == day)
    for _, tag in taken:
        try:
            return push(store, key, keys, challenger, created, tag=tag, progress=run.progress).revision.tag
        except UsageError:
            # Another set's; this one gets the next number.
            continue
    tag = f"{day}.{taken[-1][0] + 1}" if taken else day
    return push(store, key, keys, challenger, created, tag=tag, progress=run.progress).revision.tag


def _number(tag: str) -> int:
    return int(tag.partition(".")[2] or 1)


def _store(environment: Mapping[str, str]) -> Store:
    # The folder of the checkout may be begun; a named one that is not there may be a share that is not mounted.
    return open_store(environment, create=HUB_FOLDER.name not in environment)
