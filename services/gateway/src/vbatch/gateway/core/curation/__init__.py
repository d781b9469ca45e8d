"""Pure rules of curation: judgements, agreement, data sets and their export formats."""
