"""What is wrong, why, and which cure works, in the window: findings, theory beside measurement, remedies, trials."""
