"""What is traded and when: the instrument, the bar frame, server clocks, sessions."""
