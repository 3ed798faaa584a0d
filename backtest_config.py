"""Backtest `config.json` and `ml_config.json` over history; see --help."""

from novosky.cli.backtest import backtest
from novosky.cli.main import run

if __name__ == "__main__":
    run(backtest)
