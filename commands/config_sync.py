"""Check that settings, code and models agree."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.shared.options import FILE, FOLDER, refuse_collisions
from novosky.installation import as_installed

if TYPE_CHECKING:
    from novosky.settings.sync import SyncFinding

EPILOG = """\b
Compared are the features of ml_config.json, the code and the models; the risk model's inputs in
their three places; the files, libraries and training settings of the model set; the limits of
the profile that config.json names.

\b
--check only looks. Without it, keys that are left to their defaults are shown and then written
into both files, which changes nothing of what is in force. Nothing else is mended by itself:
features, models and limits are decisions of a person, and each finding names its command.

\b
Exit codes: 0 in step, warnings included; 1 drift, or something is missing; 2 wrong arguments;
7 a file cannot be written.

\b
Examples:
  python scripts/config_sync.py --check
  python scripts/config_sync.py
  python scripts/config_sync.py --check --no-models --json findings.json
"""
DRIFT = 1


@click.command(epilog=EPILOG)
@click.option("--check", is_flag=True, help="Only look, write nothing.")
@click.option("--config", type=FILE, default=Path("config.json"), show_default=True, help="Runtime settings.")
@click.option("--ml-config", type=FILE, default=Path("ml_config.json"), show_default=True, help="Model settings.")
@click.option("--models", type=FOLDER, default=Path("models"), show_default=True, help="Model directory.")
@click.option("--no-models", is_flag=True, help="Leave the models out, where there are none yet.")
@click.option("--json", "json_file", type=FILE, help="Write the findings as JSON.")
def config_sync(
    check: bool, config: Path, ml_config: Path, models: Path, no_models: bool, json_file: Path | None
) -> None:
    """Check config.json, ml_config.json, the code and the model set against each other."""
    from dataclasses import asdict

    from ml.config_sync import sync_findings
    from novosky.files import write_json

    refuse_collisions({"--json": json_file}, {"--config": config, "--ml-config": ml_config, "--models": models})
    models_dir = None if no_models else models
    findings = sync_findings(config, ml_config, models_dir)
    if not check and any(finding.grade == "default" for finding in findings):
        _write_defaults(config, ml_config)
        findings = sync_findings(config, ml_config, models_dir)
    _print(findings)
    blocking = sum(finding.blocks for finding in findings)
    if json_file is not None:
        write_json(json_file, {"valid": blocking == 0, "findings": [asdict(finding) for finding in findings]})
    if blocking:
        sys.exit(DRIFT)


def _write_defaults(config: Path, ml_config: Path) -> None:
    """Show and write the absent keys of each file that loads."""
    from ml.config_sync import missing_defaults
    from novosky.errors import SettingsError
    from novosky.files import write_text
    from novosky.settings.text_edit import edited

    for path in (config, ml_config):
        try:
            completed, changes = missing_defaults(path)
        except SettingsError:
            # Said among the findings; a file with mistakes is never written.
            continue
        for change in changes:
            click.echo(f"written  {path}: {change.place} = {change.new}")
        if changes:
            write_text(path, edited(path.read_text(encoding="utf-8-sig"), completed))


def _print(findings: list[SyncFinding]) -> None:
    for finding in findings:
        click.echo(f"{finding.grade.upper():8} {finding.code}: {finding.text}")
        click.echo(f"{'':8} mend: {as_installed(finding.mend)}")
    blocking = sum(finding.blocks for finding in findings)
    if blocking:
        click.echo(f"out of step in {blocking} place(s)")
    else:
        warned = sum(finding.grade == "warning" for finding in findings)
        click.echo("in step" + (f", {warned} warning(s)" if warned else ""))
