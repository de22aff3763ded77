"""The templates of this floor's pages."""
