"""To take away: pictures, animations, handouts."""
