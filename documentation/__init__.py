"""The documents that are made from the code, the site that is made from the documents, and the tests of both.

It imports every part of the product, so it is none: nothing of it is installed.
"""
