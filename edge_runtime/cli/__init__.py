"""The `edge-inspect` command: one file per subcommand."""
