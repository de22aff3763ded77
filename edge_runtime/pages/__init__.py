"""The form of what people read: the frame of a page, its style sheet, its parts and its charts."""
