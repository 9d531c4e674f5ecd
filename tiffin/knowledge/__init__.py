"""Documents in, cited spans out: parse, chunk, embed, index, search, cite. SQL is the truth, indexes are derived."""
