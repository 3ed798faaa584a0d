"""Backtest `config.json` and `ml_config.json` over history; see --help."""

from commands.backtest import backtest
from commands.main import run

if __name__ == "__main__":
    run(backtest)
