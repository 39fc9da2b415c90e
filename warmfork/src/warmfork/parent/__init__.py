"""The process that stays: holds the sockets and the libraries, watches the files, and forks a child for each change."""
