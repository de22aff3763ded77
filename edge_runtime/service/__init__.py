"""What a station tells those who keep it alive: systemd, a probe, Prometheus, a person at the terminal.

Nothing here inspects parts, and nothing here decides what a part's verdict is.
"""
