"""From a configuration to a station that is ready to run: the one room that knows all the others."""
