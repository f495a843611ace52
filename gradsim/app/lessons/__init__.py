"""Lessons in the window: where one stands in them, and the panel, pictures and keys that lead through them."""
