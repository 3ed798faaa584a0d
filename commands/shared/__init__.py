"""What several commands share: options, tables, questions, the way errors are shown."""
