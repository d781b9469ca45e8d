"""What every generation of the official client must get from this server, by subject.

Run by each one's own Python, which has nothing but `openai`: `python -m tests.conformance.cases URL FOLDER`.
"""
