"""Where bars come from and where they are kept: store, importers, downloads, synthetic market."""
