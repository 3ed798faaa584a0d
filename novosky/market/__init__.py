"""What is traded and when: the bar frame, server clocks, sessions."""
