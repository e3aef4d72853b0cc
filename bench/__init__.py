"""The benchmark: rtserver and its peers under the same load, on the same machine, in the same run."""
