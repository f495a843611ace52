"""Two to four twins side by side: one control set, linked pictures, the differences between the stacks."""
