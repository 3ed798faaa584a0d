"""One file for each alert channel, see `alerts.port.Kind`; the list of channels is this folder."""
