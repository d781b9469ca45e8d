"""The server in a browser: only a client of the API, with the visitor's own key."""
