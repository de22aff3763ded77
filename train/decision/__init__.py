"""The decision rule: chosen on validation answers within bounds, and kept with its evidence."""
