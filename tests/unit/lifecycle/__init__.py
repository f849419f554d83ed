"""The functional core: what `decide` answers, walked, searched and read row by row."""
