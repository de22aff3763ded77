"""A procedural weld-seam line: parts, defects, camera generations, and faults of the real world."""
