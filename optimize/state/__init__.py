"""Where a weekly run stands, so that it can be resumed: its steps, workspace and repository."""
