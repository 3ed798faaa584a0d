"""A live bot: access to its account, its loop, its switches."""
