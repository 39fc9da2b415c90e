"""A forked process: imports the application, and serves it until it is told to leave."""
