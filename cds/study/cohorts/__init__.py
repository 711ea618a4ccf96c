"""Whom a study is about: women, their dated scores, and what became of them, from a file, the store or made up."""
