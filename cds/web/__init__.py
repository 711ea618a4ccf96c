"""The Flask application: discovery, hook routes, health."""
