"""Pure rules of the pages: what is said, in which words, where a bar begins and ends."""
