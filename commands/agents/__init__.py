"""The command that keeps an automated change inside its scope, and its rule."""
