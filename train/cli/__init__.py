"""The `train` command: one file per subcommand."""
