"""Train the models named in `ml_config.json`; see --help."""

from novosky.cli.main import run
from novosky.cli.train import train

if __name__ == "__main__":
    run(train)
