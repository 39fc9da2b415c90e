"""A page in the browser for logs, the state of the resources, and the speed of the loop."""
