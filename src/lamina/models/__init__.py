"""Models, the loop that trains them, and the callbacks it calls."""
