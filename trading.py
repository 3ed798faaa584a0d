"""Run the bot; see --help. The package `trading/` beside this file holds its rooms."""

from novosky.cli.main import run
from novosky.cli.trade import trade

if __name__ == "__main__":
    run(trade)
