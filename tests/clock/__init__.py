"""Another time for the tests: see `sitecustomize`."""
