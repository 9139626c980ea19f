"""Procedural people: bodies of published proportions that walk, sit, reach, run, jump, crawl and climb."""
