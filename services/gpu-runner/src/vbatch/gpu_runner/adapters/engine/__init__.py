"""The engine as a child process or a remote server, behind one HTTP client."""
