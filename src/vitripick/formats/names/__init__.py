"""Handle names of micrographs: their suffixes, their stems, and which labels belong to which micrograph."""
