"""What the station remembers: verdicts on disk until the broker has them."""
