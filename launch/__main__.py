"""The list of scripts: python -m launch. It is that of the command `jaxpose`."""

from jaxpose.__main__ import main

if __name__ == "__main__":
  main()
