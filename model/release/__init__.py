"""Importing the published Mirai release: untrusted pickles in, a checkpoint and its card out."""
