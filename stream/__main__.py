"""`python -m stream` is `latido`."""

from stream.cli import main

if __name__ == "__main__":
    main()
