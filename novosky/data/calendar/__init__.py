"""The calendar of news: where it is downloaded from and how it is stored."""
