"""The application's files as they were last seen, and what importing the application has executed and read."""
