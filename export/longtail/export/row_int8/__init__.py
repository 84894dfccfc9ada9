"""BERT's graph written anew in int8: a scale for each row, outliers in fp32, GPTQ weights."""
