"""Run the bot; see --help. The package `trading/` beside this file holds its rooms."""

from commands.main import run
from commands.trade import trade

if __name__ == "__main__":
    run(trade)
