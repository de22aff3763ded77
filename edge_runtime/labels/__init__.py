"""Labels that come back to the station from rework and re-inspection, and what they measure."""
