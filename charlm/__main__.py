"""`python -m charlm`: the same as the `charlm` command."""

from charlm.cli.app import main

if __name__ == "__main__":
    main()
