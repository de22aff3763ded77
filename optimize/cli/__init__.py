"""The `optimize` command: one file per subcommand."""
