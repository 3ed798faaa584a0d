"""Pack the shipped settings files into the wheel; everything else stands in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("config.json", "ml_config.json")
"""They lie at the top of a checkout, where the programs read them; a wheel carries copies to begin with."""


class BuildWithSettings(build_py):
    """Copy the settings files beside the settings code, in the built package alone."""

    def run(self) -> None:
        """Build the packages, then add the copies; an editable installation reads the checkout's own."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "novosky" / "settings" / "shipped"
        target.mkdir(parents=True, exist_ok=True)
        for name in SHIPPED:
            shutil.copyfile(name, target / name)


setup(cmdclass={"build_py": BuildWithSettings})
