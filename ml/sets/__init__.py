"""The files of a model set: names, hashes, compatibility, and swapping one set for another."""
