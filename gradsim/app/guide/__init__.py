"""The user guide, offline: pages of Markdown in the language in use, and a window that shows them."""
