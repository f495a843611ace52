"""What comes into the window and goes out of it: code, own data, trained layers, recordings."""
