"""The hub, from the weekly run's side: find out early whether publishing can work, and publish what was approved."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from ml.hub.access import open_store, signer, trusted_keys
from ml.hub.catalogue import published_tags
from ml.hub.patience import PatientStore
from ml.hub.publish import push
from ml.hub.revision import default_tag
from novosky.errors import UsageError
from novosky.settings import load_settings
from novosky.settings.profiles import profile_named
from optimize.run import OptimizeRun


def check_publishable(environment: Mapping[str, str], root: Path) -> None:
    """Raise what publishing would raise: no hub, no key, an unknown key.

    Raises
    ------
    SettingsError, UsageError
    """
    open_store(environment)
    signer(environment)
    trusted_keys(environment, root)


def publish(run: OptimizeRun) -> str:
    """Publish what is in place as the day's revision, or its next number, and return its tag.

    A revision that an earlier attempt has published already is not published twice.
    """
    store = PatientStore(open_store(run.environment))
    key, keys = signer(run.environment), trusted_keys(run.environment, run.root)
    created = datetime.fromtimestamp(run.now(), tz=UTC)
    settings = load_settings(run.live.config)
    day = default_tag(datetime.fromisoformat(run.started), profile_named(settings.risk_profile.name))
    taken = sorted(tag for tag in published_tags(store) if tag.partition(".")[0] == day)
    if taken:
        try:
            return push(store, key, keys, run.live, created, tag=taken[-1], progress=run.progress).revision.tag
        except UsageError:
            # Another set's; this one gets the next number.
            day = f"{day}.{len(taken) + 1}"
    return push(store, key, keys, run.live, created, tag=day, progress=run.progress).revision.tag
