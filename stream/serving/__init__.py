"""What every HTTP process of latido has: an address to listen on, a way to end, headers and a log."""
