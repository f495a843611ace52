"""What a lecturer shows: the presenter's view, the notes beside it, and a screen that stays on."""
