"""`python -m reasonrank_pyserini` is the command `reasonrank`."""

from .cli import main

if __name__ == "__main__":
    main()
