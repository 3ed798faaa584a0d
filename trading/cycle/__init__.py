"""The parts of one cycle of the bot: what it reads, decides, sends, books and says."""
