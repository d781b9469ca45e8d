"""The API as a client sees it, and the pages as a browser does."""
