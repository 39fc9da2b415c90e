"""The fast lane with other times: it tries again at once, and waits longer for what a busy machine delays.

The times themselves are proven in test_trouble.py, test_patience.py and test_saves.py.
"""

from fastlane import __main__ as program
from fastlane import stream, trouble

trouble._FIRST_DELAY = 0.05
trouble._LONGEST_DELAY = 0.4
stream._GREETING_PATIENCE = stream._REPLY_PATIENCE = 60.0

if __name__ == "__main__":
    program.main()
