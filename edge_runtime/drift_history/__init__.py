"""The course of a station's drift over weeks, on its disk: kept beside the journal, and no record."""
