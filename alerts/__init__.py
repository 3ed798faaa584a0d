"""Messages to people: what is told, how it is delivered, and by which channel."""
