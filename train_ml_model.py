"""Train the models named in `ml_config.json`; see --help."""

from commands.main import run
from commands.train import train

if __name__ == "__main__":
    run(train)
